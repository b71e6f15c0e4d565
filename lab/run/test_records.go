package run

import (
	"fmt"
	"maps"
	"strconv"
	"strings"

	"slimlab/lab"
	"slimlab/lab/task"
)

// testOf reads the key test of a file's task: a share of the records, or a file.
func testOf(text string) (share float64, path string, err error) {
	if text == "" {
		return 0, "", nil
	}
	digits, percent := strings.CutSuffix(text, "%")
	if share, err = strconv.ParseFloat(digits, 64); err != nil {
		return 0, text, nil
	}
	if percent {
		share /= 100
	}
	if !(share > 0 && share < 1) {
		return 0, "", fmt.Errorf("jsonl: test is %s, expected a share above 0 and below 1, or a file", text)
	}
	return share, "", nil
}

// answersVersion is that of the ranking of records with one of two responses.
const answersVersion = 1

// testRecords takes what the examples of a file are tested on. It changes what models are measured
// on, and nothing of what they are trained on.
func (r *Run) testRecords(d *dataset, examples *task.JSONL, cfg task.JSONLConfig) {
	d.testExamples, d.answers = examples.Test(), examples.Answers()
	if len(d.testExamples) > 0 || d.answers != nil {
		d.test = maps.Clone(d.training)
	}
	if content := examples.TestContent(); content != "" {
		d.test["test_content"] = content
	}
	if d.answers != nil {
		d.test["answers"] = answersVersion
		if cfg.GroupField != "" {
			d.test["group_field"] = cfg.GroupField
		}
	} else if s := r.plan.Scenario; len(s.Columns) > 0 && s.Asks("auc", "auc_delta", "auc_within", "auc_within_mean") {
		r.noteOnce(lab.Warning, fmt.Sprintf("%s: AUC is asked for and is not measured: it needs records whose responses are one of two texts, both of them among the test records", cfg.Path))
	}
}
