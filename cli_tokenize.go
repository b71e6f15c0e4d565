package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"slimlab/internal/await"
	"slimlab/lab/datafile"
	"slimlab/lab/run"
)

// tokenizeFlags are the flags of `slimlab tokenize`.
type tokenizeFlags struct {
	noSpecial bool
	pieces    bool
	decode    bool
	chat      bool
	text      bool
}

func (p *program) tokenizeCommand() *cobra.Command {
	var f tokenizeFlags
	cmd := &cobra.Command{
		Use:   "tokenize MODEL",
		Short: "convert standard input to token ids, or back with --decode",
		Long: "tokenize reads all of standard input, to the last byte, and prints its token ids as one JSON array.\n" +
			"MODEL is a folder, a .gguf file, a tokenizer.json, tokenizer.model, tekken.json or vocab.json, run:ID/ROW or pretrained:NAME.\n\n" +
			"With --chat standard input is a conversation, a JSON array of messages {\"role\", \"content\"} or an object with messages and tools, which the model's own\n" +
			"template writes as text, up to the point where the assistant would answer if the last message is not its own.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if f.text && !f.chat {
				return usage(errors.New("--text needs --chat"))
			}
			return p.tokenize(cmd.Context(), cmd.InOrStdin(), args[0], f)
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.noSpecial, "no-special", false, "add no special tokens, such as BOS; with --decode: leave them out")
	flags.BoolVar(&f.pieces, "pieces", false, "print pieces, as {\"id\", \"piece\"} (partial UTF-8 as byte lists)")
	flags.BoolVar(&f.decode, "decode", false, "convert ids to text: a JSON array, or ids separated by white space")
	flags.BoolVar(&f.chat, "chat", false, "standard input is a conversation as JSON, formatted by the model's chat template")
	flags.BoolVar(&f.text, "text", false, "with --chat: print the formatted text, not its ids")
	cmd.MarkFlagsMutuallyExclusive("pieces", "decode", "text")
	cmd.MarkFlagsMutuallyExclusive("chat", "decode")
	cmd.MarkFlagsMutuallyExclusive("chat", "no-special") // the template says which there are
	return cmd
}

func (p *program) tokenize(ctx context.Context, in io.Reader, name string, f tokenizeFlags) error {
	tok, err := p.home.Tokenizer(name)
	if err != nil {
		return usage(err)
	}
	for _, note := range tok.Notes() {
		fmt.Fprintf(p.stderr, "note: %s\n", note)
	}
	data, err := await.Do(ctx, func() ([]byte, error) { return io.ReadAll(in) })
	if err != nil {
		return broke(fmt.Errorf("standard input: %w", err))
	}
	if err := datafile.Refuse(data); err != nil {
		return usage(fmt.Errorf("standard input: %w", err))
	}
	out := bufio.NewWriter(p.stdout)
	switch {
	case f.decode:
		ids, err := run.ParseIDs(tok, string(data))
		if err != nil {
			return usage(fmt.Errorf("standard input: %w", err))
		}
		decode := tok.Decode
		if f.noSpecial {
			decode = tok.DecodeText
		}
		_, err = out.WriteString(decode(ids))
		return broke(errors.Join(err, out.Flush()))
	default:
		text, encode := string(data), tok.EncodeSpecial
		if f.chat {
			if text, err = run.Chat(tok, data); err != nil {
				return usage(fmt.Errorf("standard input: %w", err))
			}
		}
		if f.text {
			_, err = out.WriteString(text)
			return broke(errors.Join(err, out.Flush()))
		}
		if f.noSpecial || f.chat {
			encode = tok.Encode
		}
		ids := encode(text)
		if err := tok.Err(); err != nil {
			return usage(fmt.Errorf("standard input: %w", err))
		}
		if note := tok.MissingIn(text); note != "" {
			fmt.Fprintf(p.stderr, "note: standard input: %s\n", note)
		}
		var product any = ids
		if f.pieces {
			product = run.Pieces(tok, ids)
		}
		e := json.NewEncoder(out)
		e.SetEscapeHTML(false)
		return broke(errors.Join(e.Encode(product), out.Flush()))
	}
}
