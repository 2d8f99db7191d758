using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using Quorumail.Cluster.Journal;
using Quorumail.Cluster.Log;
using Quorumail.Cluster.Raft;

namespace Quorumail.Cluster.Tests.Raft;

/// <summary>The process that the kill tests start and kill: proposes numbers and prints each one that was acknowledged.</summary>
internal static class KilledProposer
{
    private const int Proposers = 8;

    public static async Task<int> RunAsync(string directory, int first)
    {
        FileState state = new(Path.Combine(directory, "state"));
        ClusterNode log = Create(directory, state);
        await log.StartAsync(CancellationToken.None);
        int next = first;
        await Task.WhenAll(Enumerable.Range(0, Proposers).Select(_ => Task.Run(async () =>
        {
            while (true)
            {
                int number = Interlocked.Increment(ref next);
                ProposalResult result = await log.ProposeAsync(BitConverter.GetBytes(number), CancellationToken.None);
                if (result.Outcome != ProposalOutcome.Applied)
                {
                    throw new InvalidOperationException(result.Reason);
                }

                await Console.Out.WriteLineAsync(number.ToString(CultureInfo.InvariantCulture));
            }
        }, CancellationToken.None)));
        return 1;
    }

    /// <summary>Opens a journal that an earlier process has left, and returns when what it holds counts as durable.</summary>
    public static async Task<int> OpenJournalAsync(string directory)
    {
        using EntryJournal journal = EntryJournal.Open(directory, 64 << 10);
        journal.Begin(0);
        await journal.WaitDurableAsync(journal.LastIndex);
        return 0;
    }

    public static ClusterNode Create(string directory, FileState state) => new(
        new ClusterNodeOptions
        {
            NodeId = "node1",
            Directory = Path.Combine(directory, "log"),
            SnapshotEntries = 200,
            SegmentBytes = 64 << 10,
            MaxEntryBytes = 8 << 10,
        },
        state,
        TimeProvider.System,
        NullLogger.Instance);
}
