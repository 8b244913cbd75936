package kubernetes

import "testing"

// TestDeletionOutrunsAnswer: a Secret that is deleted before the answer to its create
// is read stays gone.
func TestDeletionOutrunsAnswer(t *testing.T) {
	var news []string
	table := newTable(func(name string) { news = append(news, name) })
	table.setNamespace("ns", &namespace{served: true})
	seen := table.get("ns")
	table.setSecret("ns", "5", &object{version: "5"}) // the watch
	table.setSecret("ns", "6", nil)
	table.wrote(&seen, "5", &object{version: "5"}) // the answer
	if table.secret("ns") != nil {
		t.Error("a deleted Secret is remembered")
	}
	if len(news) != 3 {
		t.Errorf("there were %d news, want the namespace, the Secret and its end", len(news))
	}
	// One that is made again is there.
	table.setSecret("ns", "7", &object{version: "7"})
	if got := table.secret("ns"); got == nil || got.version != "7" {
		t.Errorf("got %v", got)
	}
}
