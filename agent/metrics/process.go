package metrics

import (
	"os"
	"runtime"

	"golang.org/x/sys/unix"

	"theseus/signals"
)

// Process are the agent's own, under the names that everybody's monitoring knows.
func Process(since float64) []Family {
	families := []Family{
		One(Gauge, "process_start_time_seconds", "Start of the agent.", since),
		One(Gauge, "go_goroutines", "Goroutines of the agent.", float64(runtime.NumGoroutine())),
	}
	var used unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &used) == nil {
		families = append(families, One(Counter, "process_cpu_seconds_total", "User and system CPU time of the agent.", duration(used.Utime)+duration(used.Stime)))
	}
	if bytes, err := signals.Resident(os.Getpid()); err == nil {
		families = append(families, One(Gauge, "process_resident_memory_bytes", "Resident memory of the agent.", float64(bytes)))
	}
	if files, err := os.ReadDir("/proc/self/fd"); err == nil {
		families = append(families, One(Gauge, "process_open_fds", "Open file descriptors of the agent.", float64(len(files)-1))) // but for that of the directory
	}
	return families
}

func duration(t unix.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
