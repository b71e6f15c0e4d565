package loadtest

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"slimlab/internal/nearest"
	"slimlab/model/checkpoint"
	"slimlab/serve"
	"slimlab/serve/hardware"
)

// Devices says on what a model is simulated.
type Devices struct {
	Model       string `key:"model" default:"8b" doc:"shape of the model: one that slimlab knows, such as 8b, 2.1b, fm or llama-3-70b, or a MODEL, whose weights are not read"`
	Device      string `key:"device" default:"h100x4" doc:"devices that the model is divided among, such as h100x4 or l40s, or a device file in YAML, with x4 behind it for four"`
	Calibration string `key:"calibration" default:"sglang-0.4.1" doc:"the measured engine whose efficiencies are taken: its name"`
	Weights     string `key:"weights" default:"fp8" one:"bf16|fp8|int8|int4" doc:"number format of the weights: int8 is W8A8, int4 is W4A16"`
	KV          string `key:"kv" default:"bf16" one:"bf16|fp8" doc:"number format of the KV cache"`
	Replicas    int    `key:"replicas" default:"1" min:"1" max:"1024" doc:"engines with devices of their own, behind a router"`
	Router      string `key:"router" default:"round-robin" one:"round-robin|least-loaded|cache-aware" doc:"how a request's replica is chosen"`
	CacheTokens int    `key:"cache_tokens" default:"0" min:"0" max:"1000000000" doc:"tokens of a replica's KV cache; 0: as many as its devices have room for"`
}

// Engine says how the engine schedules.
type Engine struct {
	Policy      string `key:"policy" default:"aged-lpm" one:"fcfs|lpm|k-lpm|aged-lpm|srpf" doc:"who of the waiting requests runs next"`
	BatchTokens int    `key:"batch_tokens" default:"0" min:"0" max:"1048576" doc:"tokens that a step computes, at most; 0: those for which the calibration was fitted"`
	ChunkTokens int    `key:"chunk_tokens" default:"0" min:"0" max:"1048576" doc:"tokens of one prompt that a step computes, at most; 0: batch_tokens"`
	Running     int    `key:"running" default:"256" min:"1" max:"1048576" doc:"requests that run at once, at most"`
	Waiting     int    `key:"waiting" default:"0" min:"0" max:"10000000" doc:"requests that may wait, at most; another is refused; 0 is no bound"`
	PrefixCache bool   `key:"prefix_cache" default:"true" doc:"share the keys and values of common prefixes"`
}

// options are those of the engine.
func (e Engine) options() serve.Options {
	o := serve.Options{
		Policy: serve.Policy(e.Policy), BatchTokens: e.BatchTokens, Chunk: e.ChunkTokens, Running: e.Running,
		WaitingRequests: e.Waiting, PrefixCache: e.PrefixCache,
	}
	return o
}

// Models opens MODELs.
type Models interface {
	OpenModel(name string) (*checkpoint.Checkpoint, error)
}

// shape is that of the model: a MODEL, or a shape by its name. A folder of that name is the MODEL.
func (d Devices) shape(models Models) (hardware.Model, error) {
	format, err := hardware.ParseFormat(d.Weights)
	if err != nil {
		return hardware.Model{}, err
	}
	kv, err := hardware.ParseFormat(d.KV)
	if err != nil {
		return hardware.Model{}, err
	}
	if m, err := hardware.FindModel(d.Model); err == nil {
		return m.In(format, kv)
	}
	if !isModel(d.Model) {
		return hardware.Model{}, nearest.Unknown("model shape", d.Model, append(hardware.ModelNames(), "or a MODEL"))
	}
	c, err := models.OpenModel(d.Model)
	if err != nil {
		return hardware.Model{}, err
	}
	defer c.Close()
	return hardware.ModelOf(d.Model, c.Config(), format, kv)
}

// isModel reports whether a name can be a MODEL.
func isModel(name string) bool {
	_, err := os.Stat(name)
	return err == nil || strings.HasPrefix(name, "run:") || strings.HasPrefix(name, "pretrained:") || strings.ContainsRune(name, os.PathSeparator)
}

// devices are the device and its number.
func (d Devices) devices() (hardware.Device, int, error) {
	name, count := d.Device, 1
	if strings.Contains(name, ".y") {
		if i := strings.LastIndex(name, "x"); i > strings.LastIndex(name, ".y") {
			if _, err := fmt.Sscanf(name[i:]+" ", "x%d ", &count); err != nil || count < 1 {
				return hardware.Device{}, 0, fmt.Errorf("device %s: expected a file and a count behind x, such as gpu.yamlx4", d.Device)
			}
			name = name[:i]
		}
		f, err := os.Open(name)
		if err != nil {
			return hardware.Device{}, 0, fmt.Errorf("device file: %w", err)
		}
		defer f.Close()
		device, err := hardware.ReadDevice(f)
		if err != nil {
			return hardware.Device{}, 0, fmt.Errorf("device file %s: %w", name, err)
		}
		return device, count, nil
	}
	return hardware.ParseDevices(name)
}

// Deployment is the model on the devices.
func (d Devices) Deployment(models Models) (*hardware.Deployment, error) {
	m, shapeErr := d.shape(models)
	device, count, deviceErr := d.devices()
	c, err := hardware.FindCalibration(d.Calibration)
	if err := errors.Join(shapeErr, deviceErr, err); err != nil {
		return nil, cmp.Or(shapeErr, deviceErr, err)
	}
	return hardware.NewDeployment(m, device, count, c)
}

// wholePrompts is more tokens than a step of an engine has that does not cut prompts into chunks.
const wholePrompts = 1 << 17

// Fleet is replicas of a deployment, with the other options as they are.
func (d Devices) Fleet(of *hardware.Deployment, e Engine, o hardware.FleetOptions) (*hardware.Fleet, error) {
	if e.BatchTokens == 0 {
		e.BatchTokens = cmp.Or(of.Calibration.Chunk, wholePrompts)
	}
	o.Replicas, o.Router, o.Tokens, o.Engine = d.Replicas, hardware.Router(d.Router), d.CacheTokens, e.options()
	return hardware.NewFleet(of, o)
}
