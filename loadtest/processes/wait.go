package processes

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

// lookEvery is the time between two looks at what is waited for.
const lookEvery = 20 * time.Millisecond

// Await looks every 20 ms until look returns nil, and for no longer than limit. A look that returns ErrGone is the last. The
// context of a look ends with the limit.
func Await(ctx context.Context, limit time.Duration, look func(context.Context) error) error {
	looking, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	again := time.NewTicker(lookEvery)
	defer again.Stop()
	for {
		err := look(looking)
		if err == nil || errors.Is(err, ErrGone) {
			return err
		}
		select {
		case <-looking.Done():
			if ctx.Err() != nil {
				return errors.Join(ctx.Err(), err)
			}
			return fmt.Errorf("not so after %v: %w", limit, err)
		case <-again.C:
		}
	}
}

// FreePort returns a port of loopback below those that the kernel hands out to clients, so that a server that is down for a
// moment finds it free again. Looking for it and taking it are two steps: another process may come between.
func FreePort() (int, error) {
	var err error
	for range 100 {
		port := 11_000 + rand.IntN(9_000)
		var listener net.Listener
		if listener, err = net.Listen("tcp", Loopback(port)); err == nil {
			return port, listener.Close()
		}
	}
	return 0, fmt.Errorf("no free port: %w", err)
}

// Loopback is host:port of a port of this machine.
func Loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// Tail is the end of a file, for messages; nothing of a file that cannot be read.
func Tail(path string, bytes int) string {
	text, _ := os.ReadFile(path) // a log that cannot be read adds nothing to the error it would explain
	return string(text[max(0, len(text)-bytes):])
}

// Children lists the processes whose parent is pid; nothing where that cannot be seen.
func Children(pid int) []int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil // it is gone, or this is no Linux
	}
	var children []int
	for word := range strings.FieldsSeq(string(text)) {
		if child, err := strconv.Atoi(word); err == nil {
			children = append(children, child)
		}
	}
	return children
}
