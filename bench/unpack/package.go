package main

import (
	"archive/tar"
	"compress/gzip"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
)

// makePackage writes a release that is as large as asked when it is compressed: assets do not compress and are in
// few files, code does to less than a half and is in files of some 75 kB, as that of OTP.
func makePackage(path, kind string, size int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	packed := gzip.NewWriter(f)
	archive := tar.NewWriter(packed)
	add := func(name string, content []byte) {
		err = errors.Join(err, archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}))
		_, writeErr := archive.Write(content)
		err = errors.Join(err, writeErr)
	}
	add("releases/1.0.0/bench.rel", []byte(`{release,{"bench","1.0.0"},{erts,"13.1"},[{bench,"1.0.0"}]}.`))
	add("releases/1.0.0/start.boot", []byte("boot"))
	add("releases/1.0.0/sys.config", []byte("[]."))
	add("lib/bench-1.0.0/ebin/bench.app", []byte(`{application,bench,[{vsn,"1.0.0"}]}.`))
	add("erts-13.1/bin/beam.smp", nil)
	next, err := content(kind)
	if err != nil {
		return err
	}
	for n := 0; err == nil; n++ {
		add(fmt.Sprintf("lib/bench-1.0.0/priv/%04d.%s", n, kind), next(n))
		info, statErr := f.Stat()
		if err = errors.Join(err, statErr); err == nil && info.Size() >= size {
			break
		}
	}
	return errors.Join(err, archive.Close(), packed.Close(), f.Close())
}

// content returns what makes the files of a package.
func content(kind string) (func(n int) []byte, error) {
	if kind == "assets" {
		piece := make([]byte, 4<<20)
		return func(int) []byte {
			rand.Read(piece) // never fails (crypto/rand)
			return piece
		}, nil
	}
	code, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		return nil, err
	}
	const piece = 75 << 10
	return func(n int) []byte {
		at := n * 40_009 % (len(code) - piece)
		return code[at : at+piece]
	}, nil
}
