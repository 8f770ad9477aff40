package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	starts  = 20 // a round
	terms   = 50 // a round
	silence = 10 * time.Second
)

// samples are what was measured of a subject.
type samples struct {
	start     []float64 // milliseconds
	rss, anon []float64 // MiB
	signal    []float64 // microseconds
}

// command is the command under the subject, as PID 1 of a namespace.
func (s *subject) command(words ...string) *exec.Cmd {
	words = append(slices.Clone(s.prefix), words...)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append(os.Environ(), roleVariable+"="+s.role)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Setsid: true}
	return cmd
}

func (s *subject) round(self string) error {
	for range starts {
		begun := time.Now()
		if err := s.command("/bin/true").Run(); err != nil {
			return err
		}
		s.start = append(s.start, float64(time.Since(begun))/float64(time.Millisecond))
	}
	return s.session(self)
}

// session runs the subject with a child that answers signals, and ends both.
func (s *subject) session(self string) error {
	answers, stdout, err := os.Pipe()
	if err != nil {
		return err
	}
	defer answers.Close()
	// The role of the child has to pass an init that has a role itself.
	cmd := s.command("/usr/bin/env", roleVariable+"="+roleTarget, self)
	cmd.Stdout = stdout
	err = cmd.Start()
	stdout.Close()
	if err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Kill() // and the namespace with it
		_ = cmd.Wait()
	}()
	return s.observe(cmd.Process.Pid, int(answers.Fd()))
}

func (s *subject) observe(pid, answers int) error {
	if err := awaitByte(answers); err != nil { // the child is ready
		return err
	}
	for range terms {
		begun := time.Now()
		if err := unix.Kill(pid, unix.SIGTERM); err != nil {
			return err
		}
		if err := awaitByte(answers); err != nil {
			return err
		}
		s.signal = append(s.signal, float64(time.Since(begun))/float64(time.Microsecond))
	}
	rss, anon, err := memory(pid)
	s.rss, s.anon = append(s.rss, rss), append(s.anon, anon)
	return err
}

// awaitByte reads without the runtime's poller, which would add to each measurement.
func awaitByte(fd int) error {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(silence.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return fmt.Errorf("no answer from the child after %v", silence)
		}
		if n, err := unix.Read(fd, make([]byte, 1)); n != 1 {
			return fmt.Errorf("the child has ended: %w", err)
		}
		return nil
	}
}

// memory is VmRSS and RssAnon of a process in MiB (proc(5), status).
func memory(pid int) (rss, anon float64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		var kib float64
		if _, err := fmt.Sscanf(lines.Text(), "VmRSS: %f kB", &kib); err == nil {
			rss = kib / 1024
		}
		if _, err := fmt.Sscanf(lines.Text(), "RssAnon: %f kB", &kib); err == nil {
			anon = kib / 1024
		}
	}
	return rss, anon, err
}

func median(list []float64) float64 { return quantile(list, 0.5) }

func quantile(list []float64, q float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
