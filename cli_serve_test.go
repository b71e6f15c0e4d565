package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"slimlab/model/pretrained"
)

func TestServeRefuses(t *testing.T) {
	newHome(t)
	empty := filepath.Join(t.TempDir(), "keys")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		args []string
		says string
	}{
		{[]string{"--host", "0.0.0.0"}, "--insecure"},
		{[]string{"--host", "::"}, "can be reached from other machines"},
		{[]string{"--port", "70000"}, "--port 70000: expected 0 to 65535"},
		{[]string{"--dtype", "int3"}, "--dtype"},
		{[]string{"--kv", "int3"}, "--kv"},
		{[]string{"--cache-bytes", "lots"}, "--cache-bytes lots: expected a number of bytes"},
		{[]string{"--cache-bytes", "2000TB"}, "--cache-bytes 2000TB: expected 1024TiB at most"},
		{[]string{"--cache-bytes", "0MiB"}, "--cache-bytes 0MiB: expected room for a page"},
		{[]string{"--recall-bytes", "-1"}, "--recall-bytes -1: expected a number of bytes"},
		{[]string{"--max-running", "0"}, "--max-running 0: expected at least 1"},
		{[]string{"--ranks", "0"}, "--ranks 0: expected at least 1"},
		{[]string{"--ranks", "7", "--port", "0"}, "which 7 ranks cannot share"},
		{[]string{"--draft-tokens", "2"}, "--draft-tokens: found no --draft"},
		{[]string{"--draft", "pretrained:recsys-student", "--draft-tokens", "0"}, "--draft-tokens 0: expected 1 to 16"},
		{[]string{"--draft", ""}, "--draft: found no name"},
		{[]string{"--draft", "nowhere", "--port", "0"}, "draft nowhere of model pretrained:recsys-student: "},
		{[]string{"--draft", "run:nothing"}, "run:nothing"},
		{[]string{"--policy", "lmp"}, `did you mean "lpm"`},
		{[]string{"--eviction", "slur"}, `did you mean "slru"`},
		{[]string{"--batch-tokens", "0"}, "--batch-tokens 0: expected at least 1"},
		{[]string{"--batch-tokens", "8", "--max-running", "9"}, "--max-running 9: expected at most --batch-tokens, 8"},
		{[]string{"--chunk-tokens", "-1"}, "--chunk-tokens -1: expected at least 1"},
		{[]string{"--max-waiting", "-1"}, "--max-waiting -1: expected 0"},
		{[]string{"--max-waiting-tokens", "-2"}, "--max-waiting-tokens -2: expected 0"},
		{[]string{"--max-wait", "-1s"}, "--max-wait -1s: expected 0s"},
		{[]string{"--name", ""}, `--name ""`},
		{[]string{"--cors", "zz"}, `--cors "zz": expected * or the origin`},
		{[]string{"--cors", "https://a.example", "--cors", "https://a.example/"}, `--cors "https://a.example/": expected`},
		{[]string{"--host", "nope.invalid"}, "--host nope.invalid: expected an address of this machine"},
		{[]string{"--host", "[::1]", "--max-running", "9", "--batch-tokens", "9", "--api-key-file", empty}, "found no key"},
		{[]string{"--host", "[::]"}, "--host :: can be reached"},
		{[]string{"--cache-bytes", "900000GB", "--port", "0"}, "which is free: a smaller --cache-bytes"},
		{[]string{"--drain", "-1s"}, "--drain -1s"},
		{[]string{"--tls-cert", "a.pem"}, "expected both or none"},
		{[]string{"--tls-cert", "a.pem", "--tls-key", "b.pem"}, "TLS: certificate a.pem, key b.pem"},
		{[]string{"--api-key", "a b"}, "an API key"},
		{[]string{"--api-key-file", empty}, "found no key"},
		{[]string{"--api-key-file", "nowhere"}, "--api-key-file"},
		{[]string{"--log-format", "xml"}, "--log-format"},
		{[]string{"--cache-bytes", "10", "--port", "0"}, "the KV cache: found 10B"},
		{[]string{"--recall-bytes", "10", "--port", "0"}, "the kept logits: found 10 bytes, expected at least"},
	} {
		_, stderr, code := slimlab(t, append([]string{"serve", "pretrained:recsys-student"}, test.args...)...)
		if code != exitUsage || !strings.Contains(stderr, test.says) {
			t.Errorf("%v: exit %d, %q; want %d and %q", test.args, code, stderr, exitUsage, test.says)
		}
	}
}

// TestRecallOfNothing: 0 keeps nothing in whatever unit, where the endpoint's 0 is its default.
func TestRecallOfNothing(t *testing.T) {
	for text, want := range map[string]int64{"0": -1, "0B": -1, "0KiB": -1, "0 MiB": -1, "0.0GB": -1, "32MiB": 32 << 20} {
		f := serveFlags{recall: text}
		if err := f.readRecall(); err != nil || f.RecallBytes != want {
			t.Errorf("%q: %d, %v, expected %d", text, f.RecallBytes, err, want)
		}
	}
}

// talker is the folder of a model with a chat template.
func talker(t *testing.T) string {
	t.Helper()
	folder, err := pretrained.Open("recsys-student")
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "talker")
	if err := os.CopyFS(dir, folder); err != nil {
		t.Fatal(err)
	}
	data, err := json.Marshal(map[string]string{"chat_template": "{% for m in messages %}{{ m.content }} {% endfor %}member"})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "tokenizer_config.json"), data, 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// chatWith runs the verb on lines of standard input.
func chatWith(t *testing.T, in string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, messages bytes.Buffer
	p := &program{stdout: &out, stderr: &messages, progressTo: io.Discard}
	root := p.rootCommand()
	root.SetArgs(append([]string{"chat"}, args...))
	root.SetIn(strings.NewReader(in))
	code, err := exitCode(t.Context(), root.ExecuteContext(t.Context()), nil)
	if err != nil {
		messages.WriteString(err.Error())
	}
	return out.String(), messages.String(), code
}

func TestChat(t *testing.T) {
	newHome(t)
	dir := talker(t)
	limits := []string{dir, "--temperature", "0", "--max-tokens", "6"}
	once, stderr, code := chatWith(t, "likes item\n", limits...)
	if code != exitHeld || strings.TrimSpace(once) == "" || !strings.Contains(stderr, "tokens/s") || !strings.Contains(stderr, "KV cache in bfloat16") {
		t.Fatalf("exit %d, %q, %q", code, once, stderr)
	}
	stdout, stderr, code := chatWith(t, "likes item\n\n/clear\nlikes item\n/dance\n/exit\nnever\n", limits...)
	if code != exitHeld || stdout != once+once || !strings.Contains(stderr, "/dance is no command") {
		t.Errorf("exit %d, %q, %q; want %q twice", code, stdout, stderr, once)
	}
	if stdout, _, _ := chatWith(t, "likes item\nlikes item", limits...); !strings.HasPrefix(stdout, once) || stdout == once+once {
		t.Errorf("without /clear the answers are %q, as if nothing had been said before", stdout)
	}
	if stdout, stderr, code := chatWith(t, strings.Repeat("item ", 5000)+"\nlikes item\n", limits...); code != exitBroke || stdout != "\n" || !strings.Contains(stderr, "/clear") {
		t.Errorf("a line of a pipe that is too long: exit %d, %q, %q", code, stdout, stderr)
	}
	if _, stderr, code := chatWith(t, "", "pretrained:recsys-student"); code != exitUsage || !strings.Contains(stderr, "no chat template: a model that was trained on conversations has one") {
		t.Errorf("exit %d, %q", code, stderr)
	}
	for flag, says := range map[string]string{"--temperature=3": "expected 0 to 2", "--top-p=0": "more than 0", "--top-k=0": "at least 1", "--max-tokens=-1": "at least 1"} {
		if _, stderr, code := chatWith(t, "", dir, flag); code != exitUsage || !strings.Contains(stderr, says) {
			t.Errorf("%s: exit %d, %q", flag, code, stderr)
		}
	}
}
