// Command gen writes the tables of package fhir from HL7's own definitions of
// R4: the npm package hl7.fhir.r4.examples 4.0.1 (CC0), unpacked into a folder.
// Its output depends on that package alone, byte for byte.
package main

import (
	"bytes"
	"compress/gzip"
	"flag"
	"log"
	"os"
	"path/filepath"
)

func main() {
	in := flag.String("package", "", "the folder `package` of the unpacked hl7.fhir.r4.examples 4.0.1")
	out := flag.String("out", "tables", "the folder to write to")
	flag.Parse()
	log.SetFlags(0)

	defs, err := readDefinitions(*in)
	if err != nil {
		log.Fatal(err)
	}
	for name, lines := range map[string][]byte{
		"structure.txt.gz": structureLines(defs),
		"search.txt.gz":    searchLines(defs),
	} {
		var b bytes.Buffer
		z, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
		z.Write(lines)
		z.Close()
		if err := os.WriteFile(filepath.Join(*out, name), b.Bytes(), 0o644); err != nil {
			log.Fatal(err)
		}
		log.Printf("%s: %d lines, %d bytes", name, bytes.Count(lines, []byte("\n")), b.Len())
	}
}
