// Package config reads roost.toml into validated structs. It opens no other file,
// no socket and no plugin, so that a configuration can be checked beside a running server.
//
// Load works in three steps:
//
//  1. The TOML library decodes the file into plain maps. A syntax error ends here.
//  2. A scan of the same text notes the line of every key (positions.go), which the
//     library does not tell.
//  3. The sections are read out of the maps, each value by its name, type and default
//     (table.go). What is asked for is known; what is left over is an unknown
//     key, reported with the nearest known one.
//
// All mistakes are collected and returned together, sorted by line. Relative paths
// are relative to the directory of the file.
package config
