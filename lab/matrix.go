package lab

import (
	"fmt"
	"strings"
)

// MatrixKind describes a matrix by its name.
type MatrixKind struct {
	Name   string
	Unit   Unit
	Better Direction
	About  string
}

// matrixKinds are the matrices that steps report.
var matrixKinds = []MatrixKind{
	{"KL", Nats, Lower, "mean divergence of the predictions with the row's layer alone changed from those of the model as it is, nats"},
	{"output error", Plain, Lower, "squared error of the layer's output, relative to what the layer adds to its input"},
	{"KV cache", Nats, Lower, "mean divergence of the predictions with the KV cache in the column's format, all weights as they are, nats"},
}

// MatrixOf describes a matrix by its name. One of no known kind is of plain numbers of which
// neither more nor less is better.
func MatrixOf(name string) MatrixKind {
	for _, k := range matrixKinds {
		if k.Name == name {
			return k
		}
	}
	return MatrixKind{Name: name}
}

// MatrixID names a matrix of a cell: the step that reports it and what it is of.
type MatrixID struct{ Stage, Name string }

// String is the name by which reports and `slimlab show` know it, such as "sensitivity.KL".
func (id MatrixID) String() string {
	if id.Stage == "" {
		return id.Name
	}
	return id.Stage + "." + id.Name
}

// ID names the matrix within its cell.
func (m *MatrixView) ID() MatrixID { return MatrixID{m.Stage, m.Name} }

// Row is the label of a row, or its number where rows have none.
func (m *Matrix) Row(i int) string { return labelled("row", m.RowLabels, i) }

// Column is the label of a column, or its number where columns have none.
func (m *Matrix) Column(i int) string { return labelled("column", m.ColumnLabels, i) }

func labelled(what string, labels []string, i int) string {
	if i < len(labels) && strings.TrimSpace(labels[i]) != "" {
		return labels[i]
	}
	return fmt.Sprintf("%s %d", what, i+1)
}

// Matrix finds a matrix of the cell; nil where it has none of that name.
func (c *CellView) Matrix(id MatrixID) *MatrixView {
	for i := range c.Matrices {
		if c.Matrices[i].ID() == id {
			return &c.Matrices[i]
		}
	}
	return nil
}

// MatrixIDs lists the matrices of the run's cells, each name once, in the order of the cells.
func (v *View) MatrixIDs() []MatrixID {
	var ids []MatrixID
	seen := map[MatrixID]bool{}
	for i := range v.Cells {
		for j := range v.Cells[i].Matrices {
			if id := v.Cells[i].Matrices[j].ID(); !seen[id] {
				seen[id] = true
				ids = append(ids, id)
			}
		}
	}
	return ids
}

// NoMatrix says why a run has no matrix.
func (v *View) NoMatrix() string {
	switch {
	case !v.State.Over():
		return "none is measured yet; a step sensitivity reports KL and output error by layer and choice when it has measured all layers"
	case v.State != Done:
		return "the run ended (" + v.State.String() + ") before a step reported one"
	}
	return "none of its steps measures its layers one by one, as a step sensitivity does"
}
