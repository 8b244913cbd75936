package chart_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the README shows of values is accepted; other YAML there is Workflow's.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(directory, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, block := range strings.Split(string(text), "```yaml\n")[1:] {
		block, _, _ = strings.Cut(block, "```")
		if strings.Contains(block, "dependencies:") {
			continue
		}
		shown++
		if _, err := tryRender(load(t), values(t, block)); err != nil {
			t.Errorf("%v in:\n%s", err, block)
		}
	}
	if shown != 6 {
		t.Errorf("%d blocks of values were found, not 6", shown)
	}
}
