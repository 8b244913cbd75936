package cli

import (
	"context"
	"fmt"
	"io"
	"log/slog"
)

// retryLog prints what package publish logs, one plain line for each content that
// it sends again.
type retryLog struct {
	w     io.Writer
	image string
}

// Enabled implements slog.Handler.
func (*retryLog) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle implements slog.Handler.
func (h *retryLog) Handle(_ context.Context, r slog.Record) error {
	values := map[string]slog.Value{}
	r.Attrs(func(a slog.Attr) bool {
		values[a.Key] = a.Value
		return true
	})
	_, err := fmt.Fprintf(h.w, "%s: %s failed, %s: %s\n", h.image, values["what"], r.Message, values["error"])
	return err
}

// WithAttrs implements slog.Handler. Package publish does not use it.
func (h *retryLog) WithAttrs([]slog.Attr) slog.Handler { return h }

// WithGroup implements slog.Handler. Package publish does not use it.
func (h *retryLog) WithGroup(string) slog.Handler { return h }
