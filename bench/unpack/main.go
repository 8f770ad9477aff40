// Command unpack measures how fast a package comes onto a volume, beside `tar -xzf` of the same file followed by
// `sync -f`: in turns on one disk, told as ratios. What the agent does in that time is more: it keeps the package, hashes it
// and each of its files, checks the release, and publishes and records it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"theseus/volume"
)

func main() {
	rounds := flag.Int("rounds", 7, "how often each package is unpacked by each")
	dir := flag.String("dir", os.TempDir(), "a directory on the disk to measure")
	role := flag.Bool("agent", false, "unpack the package of the second argument onto the volume of the first; for the command itself")
	flag.Parse()
	var err error
	if *role {
		err = unpack(flag.Arg(0), flag.Arg(1))
	} else {
		err = bench(*dir, *rounds)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "unpack:", err)
		os.Exit(1) //nolint:forbidigo // this is main
	}
}

// unpack is what `agent upgrade` has the agent do before the node hears of it.
func unpack(root, pkg string) error {
	v, err := volume.Open(root)
	if err != nil {
		return err
	}
	defer v.Close()
	f, err := os.Open(pkg)
	if err != nil {
		return err
	}
	defer f.Close()
	kept, err := v.Receive(context.Background(), f, nil)
	if err != nil {
		return err
	}
	staged, err := v.Stage(context.Background(), kept, "", nil)
	if err != nil {
		return err
	}
	_, err = staged.Publish(volume.Image{})
	return err
}

type run struct {
	wall, cpu time.Duration
	rss       int64 // bytes, the most
}

func bench(dir string, rounds int) error {
	dir, err := os.MkdirTemp(dir, "unpack-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	fmt.Println("| package | tar, then sync | agent | throughput, agent / tar | target | processor time, agent / tar | most memory of the agent | target |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|--:|")
	for _, size := range []int64{40 << 20, 400 << 20} {
		for _, kind := range []string{"assets", "code"} {
			pkg := filepath.Join(dir, "bench-1.0.0.tar.gz")
			if err := makePackage(pkg, kind, size); err != nil {
				return err
			}
			if err := compare(dir, pkg, fmt.Sprintf("%d MB of %s", size>>20, kind), rounds); err != nil {
				return err
			}
		}
	}
	return nil
}

func compare(dir, pkg, name string, rounds int) error {
	var tars, agents []run
	for range rounds {
		for _, side := range []struct {
			runs *[]run
			make func(to string) *exec.Cmd
		}{
			{&tars, func(to string) *exec.Cmd {
				return exec.Command("sh", "-c", `tar -xzf "$1" -C "$2" && sync -f "$2"`, "sh", pkg, to)
			}},
			{&agents, func(to string) *exec.Cmd { return exec.Command("/proc/self/exe", "-agent", to, pkg) }},
		} {
			r, err := measure(dir, side.make)
			if err != nil {
				return err
			}
			*side.runs = append(*side.runs, r)
		}
	}
	wall := func(r run) float64 { return r.wall.Seconds() }
	cpu := func(r run) float64 { return r.cpu.Seconds() }
	rss := func(r run) float64 { return float64(r.rss) / (1 << 20) }
	fmt.Printf("| %s | %.2f s | %.2f s | %.2f | ≥ 0.8 | %.2f | %.1f MiB | ≤ 40 MiB |\n", name, median(tars, wall), median(agents, wall),
		median(tars, wall)/median(agents, wall), median(agents, cpu)/median(tars, cpu), median(agents, rss))
	return nil
}

// measure runs a command on a directory of its own, on a disk that owes nothing to what was before.
func measure(dir string, command func(to string) *exec.Cmd) (run, error) {
	to, err := os.MkdirTemp(dir, "to-")
	if err != nil {
		return run{}, err
	}
	defer os.RemoveAll(to)
	syscall.Sync()
	cmd := command(to)
	begun := time.Now()
	out, err := cmd.CombinedOutput()
	wall := time.Since(begun)
	if err != nil {
		return run{}, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	state := cmd.ProcessState
	usage := state.SysUsage().(*syscall.Rusage)
	return run{wall, state.UserTime() + state.SystemTime(), usage.Maxrss << 10}, nil
}

func median(runs []run, pick func(run) float64) float64 {
	values := make([]float64, len(runs))
	for i, r := range runs {
		values[i] = pick(r)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
