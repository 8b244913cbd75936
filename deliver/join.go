package deliver

import (
	"fmt"
	"strings"

	"regcred.dev"
)

// Join makes one error of those of several places that a target serves, nil of none.
// what names such places: "files". Its code is the first one's.
func Join(what string, failed []error) error {
	switch len(failed) {
	case 0:
		return nil
	case 1:
		return failed[0]
	}
	texts := make([]string, len(failed))
	for i, err := range failed {
		texts[i] = err.Error()
	}
	return fmt.Errorf("%d %s could not be synced: %w", len(failed), what,
		regcred.Errorf(regcred.CodeOf(failed[0]), "%s", strings.Join(texts, "; ")))
}
