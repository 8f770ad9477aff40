package volume

// Limits are what one package may ask for.
type Limits struct {
	PackageBytes  int64 // of the package itself
	UnpackedBytes int64 // of its tar archive
	Entries       int   // files, links, and directories, also those that no entry names
	Depth         int   // components of a name
	NameBytes     int   // of a whole name: below the root it must still be one that the kernel takes (PATH_MAX)
	NamesBytes    int64 // of all names and the targets of links together, which are held in memory
	Ratio         int64 // unpacked bytes for each of the package's, once there are freeRatioBytes of them
	TextBytes     int64 // of a .rel, a relup or a sys.config
}

// DefaultLimits are far beyond what releases need: a big one has 400 MB, 20,000 files, 12 levels and a ratio
// of 10.
var DefaultLimits = Limits{
	PackageBytes:  4 << 30,
	UnpackedBytes: 16 << 30,
	Entries:       200_000,
	Depth:         32,
	NameBytes:     1024,
	NamesBytes:    32 << 20,
	Ratio:         100,
	TextBytes:     4 << 20,
}

// freeRatioBytes may be unpacked at any ratio: small files of zeros are no bomb.
const freeRatioBytes = 64 << 20
