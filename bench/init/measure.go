package main

import (
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
	silence = 30 * time.Second
)

// samples are what was measured of a subject.
type samples struct {
	start     []float64 // milliseconds
	signal    []float64 // microseconds
	rate      []float64 // orphans a second
	reaping   []float64 // CPU time, microseconds an orphan
	rss, anon []float64 // MiB
	wakeups   []float64 // a second
	busy      float64   // CPU of the agent beside a node, percent
}

// command is the command under the subject, as PID 1 of a namespace.
func (s *subject) command(words ...string) *exec.Cmd {
	words = append(slices.Clone(s.prefix), words...)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWPID, Setsid: true}
	return cmd
}

func (s *subject) round(self string, idle time.Duration) error {
	for range starts {
		begun := time.Now()
		if err := s.command("/bin/true").Run(); err != nil {
			return err
		}
		s.start = append(s.start, float64(time.Since(begun))/float64(time.Millisecond))
	}
	target := s.command(self)
	target.Env = append(os.Environ(), roleVariable+"="+roleTarget)
	err := during(target, func(pid, answers int) error {
		if err := s.answers(pid, answers); err != nil {
			return err
		}
		return s.idles(pid, idle)
	})
	if err != nil || len(s.prefix) == 0 { // the shell that makes the orphans reaps them only when it ends
		return err
	}
	return during(s.command("/bin/sh", "-c", crowd), s.reaps)
}

// during runs act beside an init whose command has written its first byte, and ends both.
func during(cmd *exec.Cmd, act func(pid, answers int) error) error {
	answers, stdout, err := os.Pipe()
	if err != nil {
		return err
	}
	defer answers.Close()
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
	if err := awaitByte(int(answers.Fd())); err != nil {
		return err
	}
	return act(cmd.Process.Pid, int(answers.Fd()))
}

// answers times signals to the init until its command has answered.
func (s *subject) answers(pid, answers int) error {
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
	return nil
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

// reaps kills the crowd at once, and waits until no member is left, not even a dead one.
func (s *subject) reaps(pid, _ int) error {
	group, err := orphanGroup(pid)
	if err != nil {
		return err
	}
	before := cpu(pid)
	begun := time.Now()
	if err := unix.Kill(-group, unix.SIGKILL); err != nil {
		return err
	}
	look := time.NewTicker(200 * time.Microsecond)
	defer look.Stop()
	for !errors.Is(unix.Kill(-group, 0), unix.ESRCH) {
		if time.Since(begun) > silence {
			return fmt.Errorf("orphans are left after %v", silence)
		}
		<-look.C
	}
	s.rate = append(s.rate, crowdSize/time.Since(begun).Seconds())
	s.reaping = append(s.reaping, float64(cpu(pid)-before)/float64(time.Microsecond)/crowdSize)
	return nil
}

// idles watches the init while nothing happens.
func (s *samples) idles(pid int, length time.Duration) error {
	s.wakeups = append(s.wakeups, wakeups(pid, length)/length.Seconds())
	rss, anon, err := memory(pid)
	s.rss, s.anon = append(s.rss, rss), append(s.anon, anon)
	return err
}

// wakeups counts how often an init that slept did something. What its threads do within a moment is one: a Go runtime
// that wakes up switches between several.
func wakeups(pid int, length time.Duration) (count float64) {
	const moment = 20 * time.Millisecond
	awake, before := false, switches(pid)
	look := time.NewTicker(moment)
	defer look.Stop()
	for range int(length / moment) {
		<-look.C
		now := switches(pid)
		if now != before && !awake {
			count++
		}
		awake, before = now != before, now
	}
	return count
}

func median(list []float64) float64 { return quantile(list, 0.5) }

func quantile(list []float64, q float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
