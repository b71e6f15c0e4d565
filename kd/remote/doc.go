// Package remote is a teacher at a URL: any endpoint with the completions call of OpenAI that
// answers with log-probabilities of the prompt.
//
// Dial asks the endpoint once and finds which of three forms it has. GivenTokens: the request's
// prompt_logprob_token_ids lists, for each token of the prompt, ids whose log-probabilities before
// that token are asked for, and max_tokens is 0. With no choice of ids the whole vocabulary is
// asked for, and the teacher has whole rows, as a model in memory has; MostLikely chooses the
// tokens that the student finds most likely. OwnTokens: the request's prompt_logprobs is a number k
// (as vLLM has it), and the endpoint chooses its k most likely tokens. In both the prompt is token
// ids, and the answer's choices[0].prompt_logprobs has null or {"id": {"logprob": x}} for each
// token of the prompt. Tokens that are not listed count as one outcome. WholeRows, where the whole
// vocabulary is asked for and the endpoint knows it: the request's prompt_logits is a list of
// tokens of the prompt, and the answer's choices[0].prompt_logits has {"place": i, "log_sum": x,
// "logits": "…"} for each: log Σ e^logit and the logits before that token, float32 in little endian
// and base64, which is 5.3 bytes a token where listed ones take some 40.
//
// Promises. Log-probabilities are read as float64: where the endpoint has the logits of a model and
// the whole vocabulary is asked for, training has the same bits as with that model in memory, but
// for losses that are estimated from the student's own tokens, where they differ by rounding. A
// step's examples are asked for at once, a bounded number of requests at a time. Statuses 429 and
// 5xx, timeouts and cut connections are tried again, after times that grow and differ, or that the
// endpoint names, which Config.Outage is told; anything else ends at once, with an error that names
// the URL, the status and the beginning of the body. An answer is bounded in bytes, positions,
// tokens and depth. A loss that the endpoint's form cannot serve is refused before the first step.
// The key comes from an environment variable, and no error or note has it.
//
// The package leaves out sampling, text, and answers kept from one step to the next.
package remote
