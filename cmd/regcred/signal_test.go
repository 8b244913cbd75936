//go:build unix

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"regcred.dev/client"
	"regcred.dev/cmd/regcred/server"
)

// program returns a command of the program, which runs in an empty directory.
func program(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "regcred")
	// Under this name the test's binary is the program: see TestMain.
	if err := os.Symlink(self, path); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "REGCRED_SERVER=", "REGCRED_DATA_DIR=")
	return cmd
}

// TestInterruptStdin interrupts a command that reads standard input, which does
// not end.
func TestInterruptStdin(t *testing.T) {
	for _, args := range [][]string{
		{"credential", "create", "registry.example.com", "--username", "u", "--password-stdin"},
		{"publish", "-", "--to", "http://127.0.0.1:1"},
	} {
		cmd := program(t, args...)
		cmd.Env = append(cmd.Env, "REGCRED_TOKEN=t")
		var said bytes.Buffer
		cmd.Stderr = &said
		stdin, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		// More than a pipe holds: once it is written, the command reads. It begins
		// like a tar, of a file that is much longer.
		begin := append(make([]byte, 0, 200_000), "file"...)
		if _, err := stdin.Write(tarHeader(begin)); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		exit := wait(t, cmd)
		if exit.ExitCode() != 1 || !strings.HasSuffix(said.String(), "regcred: interrupted\n") {
			t.Errorf("%v: %v: %s", args, exit, said.String())
		}
	}
}

// tarHeader pads what a tar begins with, and gives its one file a size.
func tarHeader(begin []byte) []byte {
	header := begin[:cap(begin)]
	copy(header[100:], "0000644\x00")
	copy(header[124:], "00077777777\x00")
	copy(header[257:], "ustar\x0000")
	copy(header[148:], "        ")
	sum := 0
	for _, b := range header[:512] {
		sum += int(b)
	}
	copy(header[148:], fmt.Sprintf("%06o\x00 ", sum))
	return header
}

// TestSecondInterrupt wants a second Ctrl-C to end a server at once that still
// waits for a request to end.
func TestSecondInterrupt(t *testing.T) {
	cmd := program(t, "serve", "--listen", "127.0.0.1:0")
	startUnignored(t, cmd)
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	socket := filepath.Join(cmd.Dir, "regcred-data", server.SocketName)
	address := ""
	poll(t, func() error {
		st, err := client.NewLocal(socket).Status(t.Context())
		address = strings.TrimPrefix(st.LocalURL, "http://")
		return err
	})
	request, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer request.Close()
	// The server asks for the body once it waits for it.
	fmt.Fprint(request, "POST /v3/registry_credentials HTTP/1.1\r\nHost: local\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
	if _, err := request.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	poll(t, func() error {
		if conn, err := net.Dial("tcp", address); err == nil {
			_ = conn.Close()
			return errors.New("it still listens")
		}
		return nil
	})
	ended := make(chan struct{})
	go func() {
		wait(t, cmd)
		close(ended)
	}()
	poll(t, func() error { // a moment passes before the program leaves signals to the system again
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		select {
		case <-ended:
			return nil
		default:
			return errors.New("it goes on")
		}
	})
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("it ended with %v, not by the signal", cmd.ProcessState)
	}
}

// startUnignored starts a command that Ctrl-C ends unless it says otherwise, also where
// this process was started with the signal ignored, as shells do in the background: a
// child inherits that, but not that a signal is handled.
func startUnignored(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	handled := make(chan os.Signal, 1)
	signal.Notify(handled, os.Interrupt)
	defer signal.Stop(handled)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
}

// wait waits for a command to end, and kills it where that takes too long.
func wait(t *testing.T, cmd *exec.Cmd) *os.ProcessState {
	t.Helper()
	kill := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	_ = cmd.Wait()
	return cmd.ProcessState
}
