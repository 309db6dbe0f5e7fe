package main

import "testing"

func TestServerShare(t *testing.T) {
	slabs := func(tcp, bind, marks, files string) string {
		return "slabinfo - version: 2.1\n# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab>\n" +
			"TCP   " + tcp + "   2368   13    8 : tunables    0    0    0 : slabdata   2   2   0\n" +
			"tcp_bind2_bucket " + bind + " 128   32    1 : tunables    0    0    0 : slabdata   1   1   0\n" +
			"inotify_inode_mark " + marks + " 80   32    1 : tunables    0    0    0 : slabdata   1   1   0\n" +
			"ext4_inode_cache " + files + " 1128   29    8 : tunables    0    0    0 : slabdata   1   1   0\n"
	}
	var before, after kernelMemory
	before.objects, before.client, before.watches = slabObjects(slabs("10 26", "5 32", "7 9", "100 100"))
	after.objects, after.client, after.watches = slabObjects(slabs("210 260", "105 128", "107 200", "9000 9000"))
	after.tcp = 200 * 50
	after.dentry = objectSize("dentry 486911 527625 192 21 1 : tunables 0 0 0\n", "dentry")
	if got, want := after.serverShare(before, 100), 2368.0+50+80+192; got != want {
		t.Errorf("share of 100 connections with 200 sockets: %v bytes, want %v", got, want)
	}
}

func TestTCPPages(t *testing.T) {
	if n := tcpPages("sockets: used 291\nTCP: inuse 71 orphan 0 tw 861 alloc 71 mem 17\nUDP: inuse 0 mem 3\n"); n != 17 {
		t.Errorf("%d pages", n)
	}
}
