using System.Collections;
using DotNext.IO.Log;
using DotNext.Net.Cluster.Consensus.Raft;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// The engine's log with two members implemented again: a follower's append returns only when it is on the disk, and a
/// read is bounded, for the stock log puts the whole backlog of a follower into one message.
/// </summary>
internal sealed class BoundedDurableLog(WriteAheadLog.Options options, IStateMachine machine, long maxReadBytes, int maxReadEntries)
    : WriteAheadLog(options, machine), IAuditTrail<IRaftLogEntry>
{
    async ValueTask IAuditTrail<IRaftLogEntry>.AppendAsync<TEntry>(
        ILogEntryProducer<TEntry> entries, long startIndex, bool skipCommitted, CancellationToken token)
    {
        bool any = entries.RemainingCount > 0;
        await base.AppendAsync(entries, startIndex, skipCommitted, token);
        if (any)
        {
            await FlushAsync(token);
        }
    }

    ValueTask<TResult> IAuditTrail<IRaftLogEntry>.ReadAsync<TResult>(
        ILogEntryConsumer<IRaftLogEntry, TResult> reader, long startIndex, long endIndex, CancellationToken token) =>
        base.ReadAsync(
            endIndex > startIndex ? new BoundedReader<TResult>(reader, maxReadBytes, maxReadEntries) : reader,
            startIndex,
            endIndex,
            token);

    private sealed class BoundedReader<TResult>(
        ILogEntryConsumer<IRaftLogEntry, TResult> inner, long maxBytes, int maxEntries)
        : ILogEntryConsumer<IRaftLogEntry, TResult>
    {
        public bool LogEntryMetadataOnly => inner.LogEntryMetadataOnly;

        public ValueTask<TResult> ReadAsync<TEntry, TList>(TList entries, long? snapshotIndex, CancellationToken token)
            where TEntry : IRaftLogEntry
            where TList : IReadOnlyList<TEntry>
        {
            if (snapshotIndex is not null)
            {
                return inner.ReadAsync<TEntry, TList>(entries, snapshotIndex, token);
            }

            int count = 0;
            for (long bytes = 0; count < entries.Count && count < maxEntries; count++)
            {
                bytes += entries[count].Length ?? 0;
                if (bytes > maxBytes && count > 0)
                {
                    break;
                }
            }

            return inner.ReadAsync<TEntry, Prefix<TEntry, TList>>(new(entries, count), null, token);
        }
    }

    private readonly struct Prefix<TEntry, TList>(TList list, int count) : IReadOnlyList<TEntry>
        where TList : IReadOnlyList<TEntry>
    {
        public int Count => count;

        public TEntry this[int index] =>
            index < count ? list[index] : throw new ArgumentOutOfRangeException(nameof(index));

        public IEnumerator<TEntry> GetEnumerator()
        {
            for (int i = 0; i < Count; i++)
            {
                yield return list[i];
            }
        }

        IEnumerator IEnumerable.GetEnumerator() => GetEnumerator();
    }
}
