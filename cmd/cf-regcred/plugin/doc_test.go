package plugin_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const docs = "../../../docs"

// TestDocumentedSentences looks for each test that docs/cloudfoundry.md names as the proof
// of a sentence.
func TestDocumentedSentences(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(docs, "cloudfoundry.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(doc), "| sentence | shown by |\n|---|---|\n")
	if !ok {
		t.Fatal("there is no table")
	}
	proof := regexp.MustCompile(`\[([^]]+)\]\(([^)]+_test\.go)\)`)
	sentences := 0
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "| \n"), " | ")
		if len(cells) != 2 {
			break
		}
		sentences++
		links := proof.FindAllStringSubmatch(cells[1], -1)
		if len(links) == 0 && !strings.Contains(cells[1], "gateway") {
			t.Errorf("%s: nothing shows it", cells[0])
		}
		for _, link := range links {
			source, err := os.ReadFile(filepath.Join(docs, link[2]))
			if err != nil {
				t.Errorf("%s: %v", cells[0], err)
			}
			for name := range strings.SplitSeq(link[1], ", ") {
				if !strings.Contains(string(source), "\nfunc "+name+"(t *testing.T)") {
					t.Errorf("%s: %s has no %s", cells[0], link[2], name)
				}
			}
		}
	}
	if sentences < 39 {
		t.Errorf("the table has %d sentences, the document more", sentences)
	}
}

// TestDocumentedCommands looks for the usage of each command in docs/cloudfoundry.md.
func TestDocumentedCommands(t *testing.T) {
	doc, err := os.ReadFile(filepath.Join(docs, "cloudfoundry.md"))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	if out, code := w.run("SendMetadata"); code != 0 {
		t.Fatal(out)
	}
	for _, c := range w.cf.metadata.Commands {
		usage, _, _ := strings.Cut(c.UsageDetails.Usage, "\n")
		if !strings.Contains(string(doc), "\n"+usage+"\n") {
			t.Errorf("docs/cloudfoundry.md does not say %q", usage)
		}
	}
}
