package model

import "testing"

func TestShapes(t *testing.T) {
	for name, parameters := range map[string]int{"qwen2.5-0.5b": 494032768, "llama-3.2-1b": 1235814400, "stories15m": 15191712, "qwen3-0.6b": 596049920} {
		c, err := Shape(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if c.Parameters() != parameters {
			t.Errorf("%s has %d parameters, the published model %d", name, c.Parameters(), parameters)
		}
		c.Layers[0].MLP = 1
		if again, _ := Shape(name); again.Layers[0].MLP == 1 {
			t.Errorf("%s: a change of a copy changed the shape", name)
		}
	}
	want := `shape "gpt": expected one of qwen2.5-0.5b, llama-3.2-1b, stories15m, qwen3-0.6b`
	if _, err := Shape("gpt"); err == nil || err.Error() != want {
		t.Errorf("found %v, expected %s", err, want)
	}
}
