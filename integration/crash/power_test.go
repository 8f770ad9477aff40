package crash

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sys/unix"
)

// fileSystem is what the volume is on when the power is cut.
func fileSystem() string { return cmp.Or(os.Getenv("AGENT_TEST_FS"), "ext4") }

// makers are the programs that make file systems, and how large the smallest one has to be.
var makers = map[string]struct {
	words []string
	size  int64
}{
	"ext4":  {[]string{"mkfs.ext4", "-q", "-J", "size=4"}, 24 << 20},
	"xfs":   {[]string{"mkfs.xfs", "-q"}, 320 << 20},
	"btrfs": {[]string{"mkfs.btrfs", "-q"}, 128 << 20},
}

// noPower says what is missing to cut the power. It is asked for each shot.
var noPower = sync.OnceValue(func() string {
	maker, known := makers[fileSystem()]
	if !known {
		return "to know how to make " + fileSystem()
	}
	for _, tool := range []string{maker.words[0], "mount"} {
		if _, err := exec.LookPath(tool); err != nil {
			return tool
		}
	}
	if _, err := os.Stat("/dev/loop-control"); err != nil {
		return "/dev/loop-control"
	}
	if !kernelHas(fileSystem()) {
		return "a kernel with " + fileSystem()
	}
	return ""
})

// kernelHas says that a file system can be mounted, by the kernel itself or a module.
func kernelHas(fileSystem string) bool {
	_ = exec.Command("modprobe", "-q", fileSystem).Run() // where there are modules
	known, err := os.ReadFile("/proc/filesystems")
	return err == nil && slices.Contains(strings.Fields(string(known)), fileSystem)
}

// disk is a file system in a file.
type disk struct {
	*cell
	image, dir string
}

func (c *cell) mount(image string) (disk, error) {
	d := disk{c, image, c.name("disk")}
	if err := os.Mkdir(d.dir, 0o755); err != nil {
		return d, err
	}
	return d, c.tool("mount", "-o", "loop", image, d.dir)
}

func (c *cell) newDisk() (disk, error) {
	image, maker := c.name("image"), makers[fileSystem()]
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return disk{}, err
	}
	if err := os.Truncate(image, maker.size); err != nil {
		return disk{}, err
	}
	if err := c.tool(append(maker.words, image)...); err != nil {
		return disk{}, err
	}
	return c.mount(image)
}

func (d disk) unmount() error {
	return errors.Join(d.tool("umount", d.dir), os.Remove(d.image))
}

// sync makes durable what is there: all of it, or of what is not durable the names alone.
func (d disk) sync(all bool) error {
	dir, err := os.Open(d.dir)
	if err != nil {
		return err
	}
	defer dir.Close()
	if all {
		return unix.Syncfs(int(dir.Fd()))
	}
	return dir.Sync()
}

// writes counts what the disk was told to write; it is the same before and after a copy that is what a power cut leaves.
func (d disk) writes() (string, error) {
	var stat unix.Stat_t
	if err := unix.Stat(d.dir, &stat); err != nil {
		return "", err
	}
	text, err := os.ReadFile(fmt.Sprintf("/sys/dev/block/%d:%d/stat", unix.Major(stat.Dev), unix.Minor(stat.Dev)))
	if os.IsNotExist(err) {
		return "", nil // Btrfs has a number of its own
	}
	fields := strings.Fields(string(text))
	if err == nil && len(fields) < 9 {
		err = fmt.Errorf("unknown statistics %q", text)
	}
	if err != nil {
		return "", err
	}
	return fields[4] + " " + fields[8], nil
}

// cut copies what is on the disk at this moment.
func (d disk) cut() (image string, err error) {
	for image = d.name("image"); ; {
		before, err := d.writes()
		if err != nil {
			return "", err
		}
		if err := d.tool("cp", "--sparse=always", d.image, image); err != nil {
			return "", err
		}
		if after, err := d.writes(); err != nil || after == before {
			return image, err
		}
	}
}

// outage is what a power cut leaves, and what was promised before it.
type outage struct {
	shot
	hit              change
	image            string
	durable, present record
}

// blackout is an operation during which the power is cut again and again, as the copies have it.
type blackout struct {
	*flight
	disk
	cuts    []shot // in their order
	outages []outage
	durable record
	history []byte // durable when its name is
	err     error
}

// cutPower cuts the power at moments of one operation, and starts the agent from each.
func (c *cell) cutPower(cuts []shot, note func(shot, *change, error)) error {
	d, err := c.newDisk()
	if err != nil {
		return err
	}
	b := &blackout{disk: d, cuts: cuts}
	if err := b.run(); err != nil {
		return fmt.Errorf("%v: %w", cuts[0], err)
	}
	for _, o := range b.outages {
		note(o.shot, &o.hit, c.powerBack(o))
	}
	for _, s := range b.cuts {
		note(s, nil, errBeyond)
	}
	return nil
}

func (b *blackout) run() error {
	s := b.cuts[0]
	if golden := b.kit.golden[s.golden]; golden != "" {
		if err := b.tool("cp", "-a", golden+"/.", b.dir); err != nil {
			return err
		}
	}
	f, err := b.aim(nil, s, b.dir)
	if err == nil {
		err = b.sync(true)
	}
	if err == nil {
		b.durable, err = readRecord(b.dir)
	}
	if err != nil {
		return err
	}
	b.flight = f
	f.observe, f.observed = b.before, b.behind
	err = errors.Join(f.fly(), f.end(), b.err)
	return errors.Join(err, b.unmount())
}

// before a change the power may be cut; what is durable then is what behind has seen.
func (b *blackout) before(ch *change) {
	for len(b.cuts) > 0 && b.cuts[0].n == ch.nth && b.err == nil {
		b.err = b.outage(b.cuts[0], *ch)
		b.cuts = b.cuts[1:]
	}
}

func (b *blackout) outage(s shot, ch change) (err error) {
	o := outage{shot: s, hit: ch, durable: b.durable}
	if node := b.node(); node != 0 {
		if err := halt(node); err != nil {
			return err
		}
		defer func() { _ = unix.Kill(node, unix.SIGCONT) }()
	}
	if s.after {
		err = b.sync(false)
	}
	if err == nil {
		o.present, err = readRecord(b.dir)
	}
	if err == nil {
		o.image, err = b.cut()
	}
	b.outages = append(b.outages, o)
	return err
}

// behind a change something may be durable.
func (b *blackout) behind(ch *change) {
	if ch.op != "fsync" || b.err != nil {
		return
	}
	r, err := readRecord(b.dir)
	if err != nil {
		b.err = err
	}
	switch ch.path {
	case ".agent/history.jsonl":
		b.history = r.history
		if b.durable.history != nil {
			b.durable.history = r.history
		}
	case ".agent":
		b.durable.State = r.State
		if b.history != nil {
			b.durable.history = b.history
		}
	}
}

// halt stops a process, and returns when it stands.
func halt(pid int) error {
	if err := unix.Kill(pid, unix.SIGSTOP); err != nil {
		return err
	}
	for {
		text, err := os.ReadFile(filepath.Join("/proc", fmt.Sprint(pid), "stat"))
		if err != nil {
			return err
		}
		if state := text[bytes.LastIndexByte(text, ')')+2]; state == 'T' || state == 'Z' {
			return nil
		}
	}
}

// powerBack starts the agent on what a power cut has left.
func (c *cell) powerBack(o outage) error {
	d, err := c.mount(o.image)
	if err != nil {
		return err
	}
	found, err := readRecord(d.dir)
	if err == nil {
		err = o.promised(found)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%v (%v): %w", o.shot, &o.hit, err), d.unmount())
	}
	l, err := c.born(d.dir, false, o.env...)
	if err != nil {
		return err
	}
	err = l.boots()
	if err == nil {
		err = (&flight{life: l, shot: o.shot}).recovered(l, found)
	}
	if err != nil {
		err = fmt.Errorf("%v (%v): %w\n%s", o.shot, &o.hit, err, l.text())
	}
	return errors.Join(err, l.end(), d.unmount())
}

// promised: what is found is what was durable, or something between that and what was there.
func (o outage) promised(found record) error {
	switch g := found.Generation; {
	case g < o.durable.Generation || g > o.present.Generation:
		return fmt.Errorf("the state is of generation %d, durable was %d, there was %d", g, o.durable.Generation, o.present.Generation)
	case g == o.durable.Generation && found.Current != o.durable.Current, g == o.present.Generation && found.Current != o.present.Current:
		return fmt.Errorf("generation %d has %q", g, found.Current)
	case strings.HasSuffix(o.hit.step, ".committed") && found.Current != o.to:
		return fmt.Errorf("the commit of %q was told, and %q is recorded", o.to, found.Current)
	}
	return o.durable.keeps(found, o.removes)
}
