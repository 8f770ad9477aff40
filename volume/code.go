package volume

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path"
	"runtime"
	"slices"
	"strings"
)

// headBytes of a program or a module have all that is asked of it, unless it has some thousand atoms: then nothing is.
const headBytes = 64 << 10

// code is what the programs and the modules of a package ask of where they shall run.
type code struct {
	head   []byte // the beginning of the one that is being read
	newest uint32 // the highest instruction of all modules
	module string // that has it
}

func (c *code) Write(p []byte) (int, error) {
	c.head = append(c.head, p[:min(len(p), headBytes-len(c.head))]...)
	return len(p), nil
}

// programs are those of the ERTS without which no node boots. Others may be for whoever debugs one.
var programs = []string{"beam.smp", "erlexec", "erl_child_setup", "inet_gethost"}

// holdsCode tells whether a file is such a program, or a module that a boot may load.
func holdsCode(name string) bool {
	dir, file := path.Split(name)
	dir = path.Base(dir)
	if strings.HasPrefix(name, ertsPrefix) {
		return dir == "bin" && slices.Contains(programs, file)
	}
	return path.Ext(file) == ".beam" && (dir == "ebin" || dir == "consolidated")
}

// note looks at the file that was read, and forgets it.
func (c *code) note(name string) error {
	head := c.head
	c.head = c.head[:0]
	if strings.HasPrefix(name, ertsPrefix) {
		return checkProgram(name, head)
	}
	if instruction, ok := newestInstruction(head); ok && instruction > c.newest {
		c.newest, c.module = instruction, name
	}
	return nil
}

// instructions has the highest generic instruction that the loader of each ERTS knows (compiler: genop.tab): it refuses
// a module that has a higher one.
var instructions = map[string]uint32{"13": 180, "14": 182, "15": 183, "16": 184, "17": 191}

// checkCode makes sure that the release's ERTS can load all modules. Of an ERTS that is not in the table nothing is known.
func (s *Staged) checkCode() error {
	major, _, _ := strings.Cut(s.Release.ERTS, ".")
	if highest, known := instructions[major]; known && s.code.newest > highest {
		return refuse(NeedsImage, "%s was compiled by a newer OTP: ERTS %s cannot load it", s.code.module, s.Release.ERTS)
	}
	return nil
}

// newestInstruction reads it from the chunk Code of a module (beam_lib; erts: beam_file.c).
func newestInstruction(head []byte) (uint32, bool) {
	if len(head) < 12 || string(head[:4]) != "FOR1" || string(head[8:12]) != "BEAM" {
		return 0, false
	}
	for rest := head[12:]; len(rest) >= 8; {
		size := uint64(binary.BigEndian.Uint32(rest[4:]))
		chunk := rest[8:]
		if string(rest[:4]) == "Code" && len(chunk) >= 12 {
			return binary.BigEndian.Uint32(chunk[8:]), true
		}
		padded := (size + 3) &^ 3
		if padded > uint64(len(chunk)) {
			break
		}
		rest = chunk[padded:]
	}
	return 0, false
}

// machines are those whose programs run on a machine of ours, older ones of its kind included.
var machines = map[string][]elf.Machine{
	"amd64": {elf.EM_X86_64, elf.EM_386}, "386": {elf.EM_386}, "arm64": {elf.EM_AARCH64, elf.EM_ARM}, "arm": {elf.EM_ARM},
	"riscv64": {elf.EM_RISCV}, "ppc64le": {elf.EM_PPC64}, "s390x": {elf.EM_S390}, "loong64": {elf.EM_LOONGARCH},
}

// checkProgram refuses what the kernel could not start: the program of another machine, or one whose loader the image
// does not have, because it was built for another libc. What is no ELF is a script.
func checkProgram(name string, head []byte) error {
	machine, loader, ok := readELF(head)
	if !ok {
		return nil
	}
	ours, known := machines[runtime.GOARCH]
	if known && !slices.Contains(ours, machine) {
		return refuse(NeedsImage, "%s is for another machine: %s, not %s", name, strings.TrimPrefix(machine.String(), "EM_"), runtime.GOARCH)
	}
	if loader == "" {
		return nil
	}
	if _, err := os.Stat(loader); err != nil {
		return refuse(NeedsImage, "%s is for another libc: the image has no %q", name, loader)
	}
	return nil
}

// readELF finds for which machine a program is, and which loader it asks for; a static one asks for none.
func readELF(head []byte) (machine elf.Machine, loader string, ok bool) {
	f, err := elf.NewFile(bytes.NewReader(withoutSections(head)))
	if err != nil {
		return 0, "", false
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > 4096 {
			continue
		}
		text := make([]byte, p.Filesz)
		if _, err := p.ReadAt(text, 0); err == nil {
			loader = string(bytes.TrimRight(text, "\x00"))
		}
	}
	return f.Machine, loader, true
}

// withoutSections makes a whole file of the beginning of one: its table of sections is at the end. One whose table of
// segments is not at its beginning is none.
func withoutSections(head []byte) []byte {
	if len(head) < 64 || string(head[:4]) != elf.ELFMAG {
		return nil
	}
	head = bytes.Clone(head)
	order, segments, size := binary.ByteOrder(binary.LittleEndian), head[0x38:0x3a], 56
	if elf.Class(head[elf.EI_CLASS]) == elf.ELFCLASS64 {
		clear(head[0x28:0x30]) // e_shoff
		clear(head[0x3c:0x40]) // e_shnum, e_shstrndx
	} else {
		segments, size = head[0x2c:0x2e], 32
		clear(head[0x20:0x24])
		clear(head[0x30:0x34])
	}
	if elf.Data(head[elf.EI_DATA]) == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	if int(order.Uint16(segments))*size > len(head) {
		return nil
	}
	return head
}
