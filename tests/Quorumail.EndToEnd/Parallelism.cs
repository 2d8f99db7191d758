using Quorumail.EndToEnd;
using Xunit.v3;

// A test waits for elections and time-outs most of its time: three at once keep two cores busy without starving the servers.
[assembly: Parallelization(MaxThreads = 3)]
[assembly: TestCollectionOrderer(typeof(LongestFirst))]
