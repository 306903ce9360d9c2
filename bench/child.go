package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/signal"
	"syscall"

	"muster/bench/baseline"
)

// Child makes this process a baseline's server where Run started it as one, and returns when that is over; with ok false
// it does nothing. A program that calls Run calls Child before anything else.
func Child() (ok bool, err error) {
	text, ok := os.LookupEnv(childVariable)
	if !ok {
		return false, nil
	}
	var config baseline.Config
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return true, err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return true, err
	}
	fmt.Println("serving", listener.Addr())
	return true, baseline.Serve(ctx, config, listener)
}
