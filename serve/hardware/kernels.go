package hardware

import "math"

// Kernels is how the kernels of an engine use one device: the constants of the formulas below. An
// efficiency is a share of the device's peak or bandwidth. The constants come from measurements of
// that device, and may be used for another one, whose peaks are in the formulas.
type Kernels struct {
	Device      string // on which they were measured
	Stack       string // engine and version
	GEMM        [formats]GEMM
	Context     [2]Context // by the format of the cache: BF16, FP8
	Decode      [2]Decode  // the same
	AllReduce   AllReduce
	Elementwise Elementwise
	Errors      Errors
}

// Errors is what to expect of a layer of a model: the relative errors that nine of ten layers made
// of measured kernels stay under, for prefills and for decodes.
type Errors struct{ Prefill, Decode float64 }

// queryTile is the queries that a multiprocessor computes together.
const queryTile = 128

// GEMM is the time of the product of [m, k] and [k, n]:
//
//	Launch + ((flops / (peak * Compute) + k * Depth)^p + (bytes / (bandwidth * Stream))^p)^(1/p)
//
// with m up to whole tiles of 64 rows, of 16 where the weights are decoded first. Where activations
// are rounded first, that takes the bytes of reading them in BF16 and of writing them at
// RoundStream; launching it is in Launch.
type GEMM struct {
	Launch      float64 // seconds
	Compute     float64 // share of the peak of the format; 0 where it was not measured
	Stream      float64 // share of the bandwidth
	Power       float64 // p: how sharply the limits meet
	Depth       float64 // seconds of each element of a sum, in which a tile waits for the one before
	RoundStream float64 // share of the bandwidth
}

// seconds is the time of a product on a device. weight is the size of one, in bytes.
func (g *GEMM) seconds(d *Device, f Format, weight, m, n, k float64) float64 {
	input := 2.0
	if f.rounds() {
		input = 1
	}
	compute := 2*math.Ceil(m/f.tile())*f.tile()*n*k/(d.Peaks.Of(f)*g.Compute) + k*g.Depth
	stream := (weight*n*k + input*m*k + 2*m*n) / (d.Bandwidth * g.Stream)
	t := g.Launch + softMax(compute, stream, g.Power)
	if f.rounds() {
		t += 3 * m * k / (d.Bandwidth * g.RoundStream)
	}
	return t
}

// softMax is (a^p + b^p)^(1/p): the larger of two positive times, more where they are alike.
func softMax(a, b, p float64) float64 {
	if a < b {
		a, b = b, a
	}
	if b <= 0 {
		return a
	}
	return a * math.Pow(1+math.Pow(b/a, p), 1/p)
}

// Context is the time of attention of sequences of many new tokens in one layer:
//
//	Launch + ((flops / (peak * Compute) + last)^p + (bytes / (bandwidth * Stream))^p)^(1/p)
//
// where last is Last times what one multiprocessor takes for 128 queries of the longest sequence:
// the others wait for it at the end. Bytes are queries and results, keys and values.
type Context struct {
	Launch  float64 // seconds
	Compute float64 // share of the BF16 peak, at a head dim of 128 or more; 0: not measured
	Narrow  float64 // power of (head dim / 128) by which that is less for narrower heads
	Last    float64
	Stream  float64 // share of the bandwidth
	Power   float64 // p
}

// peak is the operations a second that heads of a size reach.
func (a *Context) peak(d *Device, headDim float64) float64 {
	return d.Peaks.BF16 * a.Compute * math.Pow(min(1, headDim/128), a.Narrow)
}

func (a *Context) seconds(d *Device, h heads, b *Batch) float64 {
	c := a.prepare(d, h)
	return c.launch + softMax(c.pair*b.pairs+c.longest*float64(b.longest), c.token*float64(b.fresh)+c.key*float64(b.keys), a.Power)
}

// heads is the sizes of attention in one layer on one device.
type heads struct{ heads, kv, dim, kvBytes float64 }

// contextCosts is seconds by what a batch sums.
type contextCosts struct{ launch, pair, longest, token, key float64 }

func (a *Context) prepare(d *Device, h heads) contextCosts {
	peak, bandwidth := a.peak(d, h.dim), d.Bandwidth*a.Stream
	return contextCosts{
		launch: a.Launch, pair: 4 * h.heads * h.dim / peak,
		longest: a.Last * 4 * queryTile * h.dim * float64(d.Units) / peak,
		token:   4 * h.heads * h.dim / bandwidth, key: 2 * h.kv * h.dim * h.kvBytes / bandwidth,
	}
}

// Decode is the time of attention of one new token of each sequence in one layer:
//
//	((Launch + Serial * sqrt(mean context))^p + (bytes / (bandwidth * Stream))^p)^(1/p)
//
// Bytes are keys and values of each sequence and of Pad more tokens, and Query by each element of
// its queries.
type Decode struct {
	Launch float64 // seconds
	Serial float64 // seconds: a longer context is divided, and its parts are summed
	Stream float64 // share of the bandwidth; 0: not measured
	Pad    float64 // tokens
	Query  float64 // bytes
	Power  float64 // p
}

func (a *Decode) seconds(d *Device, h heads, b *Batch) float64 {
	c := a.prepare(d, h)
	return softMax(c.launch+c.serial*b.meanRoot(), c.sequence*float64(b.decodes)+c.key*float64(b.context), a.Power)
}

// decodeCosts is seconds by what a batch sums.
type decodeCosts struct{ launch, serial, sequence, key float64 }

func (a *Decode) prepare(d *Device, h heads) decodeCosts {
	bandwidth := d.Bandwidth * a.Stream
	key := 2 * h.kv * h.dim * h.kvBytes / bandwidth
	return decodeCosts{launch: a.Launch, serial: a.Serial, key: key, sequence: key*a.Pad + h.heads*h.dim*a.Query/bandwidth}
}

// AllReduce is the time to sum a message over g devices:
//
//	Latency + Each * g + Root * sqrt(bytes) + 2(g-1)/g * bytes / (link * Link)
type AllReduce struct {
	Latency float64 // seconds
	Each    float64 // seconds of each device
	Root    float64 // seconds: small messages take a kernel's time, large ones the link's
	Link    float64 // share of the one-way bandwidth
}

func (a *AllReduce) seconds(d *Device, devices int, bytes float64) float64 {
	if devices < 2 {
		return 0
	}
	g := float64(devices)
	return a.Latency + a.Each*g + a.Root*math.Sqrt(bytes) + 2*(g-1)/g*bytes/(d.Link*a.Link)
}

// Elementwise is the time of what a layer does between products: norms, rotary positions, the
// activation of the MLP, sums. Its bytes are those of elementwiseBytes.
type Elementwise struct {
	Launch float64 // seconds of a layer
	Stream float64 // share of the bandwidth
}

// elementwiseBytes is what a layer reads and writes between products for each token on one device:
// the hidden state twice through a norm and a sum, queries and keys through the rotation, the MLP
// through its activation, all in BF16.
func elementwiseBytes(hidden, headDim, heads, kvHeads, mlp float64) float64 {
	return 2 * (10*hidden + 2*(heads+kvHeads)*headDim + 3*mlp)
}
