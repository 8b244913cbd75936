package bucket

import (
	"errors"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
)

func TestContentRange(t *testing.T) {
	length := int64(10)
	tests := []struct {
		header      string
		length      *int64
		start, size int64
		ok          bool
	}{
		{"bytes 0-9/100", &length, 0, 100, true},
		{"bytes 90-99/100", &length, 90, 100, true},
		{"", &length, 0, 10, true},
		{"", nil, 0, 0, false},
		{"bytes */100", &length, 0, 0, false},
		{"bytes 0-9/*", &length, 0, 0, false},
		{"bytes 101-110/100", &length, 0, 0, false},
		{"bytes -1-5/100", &length, 0, 0, false},
		{"items 0-9/100", &length, 0, 0, false},
		{"bytes 0-9", &length, 0, 0, false},
	}
	for _, test := range tests {
		start, size, err := contentRange(&s3.GetObjectOutput{ContentRange: optional(test.header), ContentLength: test.length})
		if (err == nil) != test.ok || err == nil && (start != test.start || size != test.size) {
			t.Errorf("%q: from %d of %d, %v", test.header, start, size, err)
		}
	}
}

func FuzzContentRange(f *testing.F) {
	for _, seed := range []string{"bytes 0-9/100", "bytes */100", "bytes 0-9/*", "", "bytes 9223372036854775808-9/1", "bytes 5-4/4"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		start, size, err := contentRange(&s3.GetObjectOutput{ContentRange: &header, ContentLength: new(int64)})
		if err == nil && (start < 0 || size < start) {
			t.Errorf("%q: from %d of %d", header, start, size)
		}
	})
}

// TestImpatientConn has a server that says nothing any more.
func TestImpatientConn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		conn := &impatientConn{ours}
		defer conn.Close()
		began := time.Now()
		go func() {
			<-time.After(silence - time.Second)
			_, _ = theirs.Write([]byte("x"))
		}()
		buf := make([]byte, 1)
		if n, err := conn.Read(buf); n != 1 || err != nil {
			t.Errorf("a slow server was given up: %v", err)
		}
		if _, err := conn.Read(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("a silent server: %v", err)
		}
		if waited := time.Since(began); waited != 2*silence-time.Second {
			t.Errorf("it waited %s", waited)
		}
	})
}
