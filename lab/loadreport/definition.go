package loadreport

// Definition says what a figure is.
type Definition struct {
	ID       string `json:"id"`
	Name     string `json:"name"`
	Unit     string `json:"unit"`
	Sentence string `json:"definition"`
}

// IDs of the figures.
const (
	TTFT             = "ttft"
	TPOT             = "tpot"
	ITL              = "itl"
	E2E              = "e2el"
	ServiceTTFT      = "service_ttft"
	ServiceE2E       = "service_e2el"
	FirstByte        = "first_byte"
	SendLag          = "send_lag"
	Duration         = "duration"
	RequestRate      = "request_throughput"
	InputRate        = "input_throughput"
	OutputRate       = "output_throughput"
	TotalRate        = "total_token_throughput"
	CachedShare      = "cached_share"
	Goodput          = "request_goodput"
	GoodputShare     = "goodput_share"
	PeakConcurrency  = "peak_concurrency"
	MeanConcurrency  = "mean_concurrency"
	PeakOutputRate   = "peak_output_throughput"
	ConcurrencySlope = "concurrency_slope"
	TTFTSlope        = "ttft_slope"
)

const (
	seconds   = "s"
	perSecond = "1/s"
	plain     = ""
)

var definitions = []Definition{
	{TTFT, "TTFT", seconds, "From the time for which a request was scheduled until its first token: the first chunk with text, or with a token that has no text of its own yet; of labels, until their logits or probabilities."},
	{TPOT, "TPOT", seconds, "(E2E − TTFT) / (output tokens − 1) of each answer of more than one token."},
	{ITL, "ITL", seconds, "Time between two chunks of an answer that carried tokens, of all answers together."},
	{E2E, "E2E", seconds, "From the time for which a request was scheduled until its last token; the count of tokens and the end mark of a stream do not count."},
	{ServiceTTFT, "TTFT from sending", seconds, "From when a request was sent until its first token. It hides what the generator was late."},
	{ServiceE2E, "E2E from sending", seconds, "From when a request was sent until its last token. It hides what the generator was late."},
	{FirstByte, "first byte", seconds, "From when a request was sent until the head of its answer."},
	{SendLag, "send lag", seconds, "From the time for which a request was scheduled until it was sent: what the generator was late."},
	{Duration, "duration", seconds, "From the start of the schedule until the last request has ended."},
	{RequestRate, "requests", perSecond, "Answered requests / duration."},
	{InputRate, "input tokens", perSecond, "Prompt tokens of answered requests, cached ones included / duration."},
	{OutputRate, "output tokens", perSecond, "Generated tokens of answered requests / duration."},
	{TotalRate, "all tokens", perSecond, "Prompt tokens, cached ones included, and generated tokens of answered requests / duration."},
	{CachedShare, "cached share", plain, "Prompt tokens that came from the server's prefix cache / prompt tokens, of answered requests."},
	{Goodput, "goodput", perSecond, "Answered requests that kept all objectives / duration; failed and dropped ones did not keep them. An answer of one token has a TPOT of 0."},
	{GoodputShare, "goodput share", plain, "Answered requests that kept all objectives / requests that were due, failed and dropped ones among them."},
	{PeakConcurrency, "peak concurrency", plain, "Most requests at once, from when each was sent until it ended, the end excluded."},
	{MeanConcurrency, "mean concurrency", plain, "Sum over requests of the time from sending to the end / duration."},
	{PeakOutputRate, "peak output tokens", perSecond, "Most tokens that came within one of the seconds counted from the start; those of a chunk with several come at its time."},
	{ConcurrencySlope, "growth of concurrency", plain, "Slope of the least-squares line of requests in flight by the time for which requests were scheduled / arrivals a second: the share of what comes that is not answered as it comes."},
	{TTFTSlope, "growth of TTFT", plain, "Slope of the least-squares line of TTFT by the time for which requests were scheduled, in seconds a second."},
}

// DefinitionOf finds a definition by its ID.
func DefinitionOf(id string) (Definition, bool) {
	for _, d := range definitions {
		if d.ID == id {
			return d, true
		}
	}
	return Definition{}, false
}

func definition(id string) Definition {
	d, _ := DefinitionOf(id)
	return d
}
