//go:build ignore

package main

func Generate() {}
