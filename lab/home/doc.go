// Package home is the folder in which slimlab keeps its work, and the place where a MODEL name
// becomes an open model.
//
// A Home has the logs of runs, the artifacts that they made and the kept figures of evaluations. It
// is opened lazily: opening and looking create nothing, a folder that is absent holds nothing, and
// only what is written makes it. So a model from elsewhere can be inspected where no home can be
// written.
//
// A MODEL is pretrained:NAME, run:ID/ROW, a Hugging Face folder or a GGUF file. Opening it reads
// its config and the headers of its tensors, no weights.
//
// The package also says on which machine timings are taken. It leaves out what runs compute
// (lab/run) and the formats of logs and artifacts (lab/store).
package home
