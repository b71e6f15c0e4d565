package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"slimlab/internal/nearest"
	"slimlab/lab"
	"slimlab/lab/report"
	"slimlab/lab/store"
	"slimlab/lab/sweep"
)

const showHelp = `Print a run's results. RUN is ` + store.Naming + `.

--where keeps the rows that meet conditions, as / does on the workbench's Run screen:
  text            the row's step or a value of its axes contains it
  key=value       step, state or an axis of the sweep is value, or a metric a number; also !=
  key<number      a metric or an axis of numbers is less; also <= > >=; 300kB, 20ms, 3% are numbers
  has:key         the metric was measured; the row depends on the axis
  not X, X or Y   conditions that stand beside each other must all hold, and bind more tightly than or
  "a b"           a text or value with spaces
No comparison holds for a row without a value there.

In a sweep, a step that does not depend on an axis stands once in tables for people (table, md), with
that axis blank; --all shows every row. CSV and JSON always have every row and say which repeat another.

--group puts the rows together that are equal in step or axes: n rows, of each metric their mean with the lowest
and the highest, and the best row by the metric of --sort, else by one of quality. --where chooses the rows,
--sort orders the groups. The rows of a group differ in their settings, so what lies between low and high is their
spread and no error of measurement; a row's seeds are inside its one value.

--aggregate says what several rows of --group, --pivot or --along come to: mean, median, best (by the metric's
direction), last (the last step at the last values of the axes), min, max or n (rows that have a value). NAME is for
all metrics, KEY=NAME for one: --aggregate best,bytes=min. Only a mean or a median of several rows has a spread.

--pareto X,Y lists the rows that no other row betters in two metrics, and those that only overlap with
the front by their intervals. --pivot DOWN,ACROSS is a table of one metric over two axes; step is an
axis too. --along AXIS is a metric along an axis of numbers, a line for each value of --lines. --bars KEY,...
is a bar for each row: these metrics, all of one unit, behind each other, and their total. A row that
repeats another counts once in these; --where chooses the rows. --curves lists the points of training
curves, of long ones those that a chart shows.

--format svg draws --pareto, --along and --bars on standard output: lines with their points and intervals, the front
among all rows, bars. Dashes, marks and hatching tell them apart without colour; the file has a title and, as its
description, the figures.

--matrix prints the tables that steps report, a step sensitivity its KL and its output error by layer and choice, of
the cells of the rows that --where chooses: all of them, or those of NAME: KL, 'output error', or with the step,
layers.KL. As csv a line is a value; as json a document slimlab.matrices has rows, columns, values, unit and direction.

--baseline RUN puts a column Δ beside each metric: the difference relative to the equal row of that run, and
the sign of its verdict, as compare judges it. Equal is a row of the same step at the same values of the
axes that it depends on; a row without an equal has a footnote in place of a difference.

--tokens ROW shows what the model of a row and its teacher, of a row that is not distilled the baseline, say at
each token of the answers of a few validation examples (evaluate.tokens): KL(p‖q) in nats, the probability and the
rank of the token with the teacher, p, and the student, q, the likeliest tokens of both, and what each would
have written. ROW is a step, or a step and values of the sweep's axes.

--samples prints the answers that student and teacher wrote while a step was trained on them (samples of distil): a few
of at most 20 of its steps, with the step, the writer, the length in tokens and whether the end token was written.`

func (p *program) showCommand() *cobra.Command {
	format, baseline, tokens, samples, shown := "table", "", "", false, report.Shown{}
	cmd := &cobra.Command{
		Use:   "show RUN",
		Short: "print a run's results; RUN is an id, a part of one, a scenario, or last",
		Long:  showHelp,
		Example: `  slimlab show last --where 'ratio<0.3 auc>0.7'
  slimlab show last --sort -auc,bytes --columns ratio,auc,bytes --format csv
  slimlab show last --group ratio,loss --where step=quantized --sort -auc
  slimlab show last --group ratio --aggregate best,bytes=min
  slimlab show last --pareto bytes,auc
  slimlab show last --baseline 20261127 --columns auc,bytes
  slimlab show last --pivot ratio,scheme --metric auc --where loss=fkl
  slimlab show last --along ratio --lines loss --metric auc
  slimlab show last --along ratio --lines loss --format svg > ratio.svg
  slimlab show last --bars ttft_cold_p50,tpot_p50 --where has:tpot_p50
  slimlab show last --matrix KL --format csv
  slimlab show last --tokens distilled --format json
  slimlab show last --samples`,
		Args: func(cmd *cobra.Command, args []string) error {
			// --matrix takes its name with = or, as the last word, without
			if len(args) == 2 && shown.Matrix == report.AllMatrices {
				shown.Matrix = args[1]
				return nil
			}
			return cobra.ExactArgs(1)(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkDrawn(cmd, format); err != nil {
				return usage(err)
			}
			if samples {
				if err := checkSamples(cmd, format); err != nil {
					return usage(err)
				}
				return p.showSamples(args[0], format)
			}
			if cmd.Flags().Changed("tokens") {
				if err := checkTokens(cmd, tokens, format); err != nil {
					return usage(err)
				}
				return p.showTokens(cmd.Context(), args[0], tokens, format)
			}
			if err := nearest.Check("--format", format, showFormats()); err != nil {
				return usage(err)
			}
			if err := showOptions(cmd, format); err != nil {
				return usage(err)
			}
			if err := checkChart(cmd, &shown, format); err != nil {
				return usage(err)
			}
			b, _, err := p.board(args[0])
			if err != nil {
				return err
			}
			width := 0
			if format == "table" {
				width = tableWidth()
			}
			if cmd.Flags().Changed("baseline") {
				return p.showAgainst(b.Snapshot(), shown.Selection, baseline, format, width)
			}
			picture, err := shown.Of(b.Snapshot())
			if err != nil {
				return usage(err)
			}
			return broke(picture(format, p.stdout, width))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&format, "format", format, "output format: "+strings.Join(showFormats(), ", ")+"; svg is of --pareto, --along and --bars")
	flags.StringVar(&shown.Where, "where", "", "keep the rows that meet these conditions: "+sweep.FilterSyntax)
	flags.StringVar(&shown.Sort, "sort", "", "order rows by KEY,...; -KEY is descending: step, state, an axis, a metric")
	flags.StringVar(&shown.Columns, "columns", "", "show these columns, KEY,..., in this order")
	flags.StringVar(&shown.Group, "group", "", "a row a group instead: rows equal in KEY,... (step, axes), n, means with low–high, the best row")
	flags.StringVar(&baseline, "baseline", "", "a column Δ beside each metric: what differs from the equal row of this run, with its verdict")
	flags.StringVar(&tokens, "tokens", "", "what the model of this row and its teacher say at each token of a few answers, as table, json or csv")
	flags.BoolVar(&samples, "samples", false, "the answers that were sampled in training, as table or json")
	flags.BoolVar(&shown.All, "all", false, "tables show repeated rows of a sweep too")
	chartFlags(cmd, &shown)
	return cmd
}

// showAgainst prints the selected rows with what differs from those of a baseline.
func (p *program) showAgainst(v *lab.View, s sweep.Selection, baseline, format string, width int) error {
	table, err := sweep.Select(v, s)
	if err != nil {
		return usage(fmt.Errorf("--%w", err))
	}
	base, _, err := p.board(baseline)
	if err != nil {
		return err
	}
	against := report.NewAgainst(table.View, base.Snapshot(), runSettings)
	return broke(report.WriteAgainst(format, p.stdout, table, against, width))
}

// showOptions refuses options that do not go together.
func showOptions(cmd *cobra.Command, format string) error {
	if group, _ := cmd.Flags().GetString("group"); cmd.Flags().Changed("group") && strings.TrimSpace(group) == "" {
		return errors.New("--group: found no key; expected step or an axis of the sweep")
	}
	if cmd.Flags().Changed("group") && cmd.Flags().Changed("all") {
		return errors.New("--all: groups count each measurement once; expected --group or --all, not both")
	}
	for _, name := range charts {
		if cmd.Flags().Changed("group") && cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s: expected --group or --%s, not both", name, name)
		}
	}
	for _, name := range append([]string{"group"}, charts...) {
		if cmd.Flags().Changed("baseline") && cmd.Flags().Changed(name) {
			return fmt.Errorf("--baseline: only a table of rows has differences; expected --baseline or --%s, not both", name)
		}
	}
	if format != "junit" {
		return nil
	}
	for _, name := range []string{"where", "sort", "columns", "all", "group", "baseline"} {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s: junit files hold expectations and no rows; expected table, md, csv or json with it", name)
		}
	}
	return nil
}
