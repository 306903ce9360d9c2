package bench

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"syscall"
	"time"
)

// patience bounds every wait for a process.
const patience = 60 * time.Second

// process is a server that was started here.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{}
	log   string // file of what it complains
	said  []string
}

// startProcess starts a command and waits for the line of its output that the pattern finds; said is what the pattern's
// groups matched. The thread that forks is kept, because the kernel's parent-death signal follows that thread.
func startProcess(cmd *exec.Cmd, log string, pattern *regexp.Regexp) (*process, error) {
	complaints, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer complaints.Close() // the process has its own
	cmd.Stderr = complaints
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	endWithParent(cmd)
	p := &process{cmd: cmd, ended: make(chan struct{}), log: log}
	started, said := make(chan error), make(chan []string, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err != nil {
			return
		}
		for lines := bufio.NewScanner(output); lines.Scan(); {
			if found := pattern.FindStringSubmatch(lines.Text()); found != nil && len(said) == 0 {
				said <- found
			}
		}
		_ = cmd.Wait() // its state tells
		close(p.ended)
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case p.said = <-said:
		return p, nil
	case <-p.ended:
		return nil, p.explain(errors.New("it ended before it served"))
	case <-timer.C:
		p.stop()
		return nil, p.explain(fmt.Errorf("it does not serve after %v", patience))
	}
}

// explain adds the end of the log to an error.
func (p *process) explain(err error) error {
	text, _ := os.ReadFile(p.log) // a log that cannot be read explains nothing
	return fmt.Errorf("%s: %w\n%s", p.cmd.Path, err, text[max(0, len(text)-2000):])
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// stop asks the process to end, and kills it where it has not after twenty seconds.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // an error says that it is gone
	timer := time.NewTimer(20 * time.Second)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}
