using DotNext.IO;
using DotNext.Net.Cluster.Consensus.Raft;
using Quorumail.Cluster.Journal;

namespace Quorumail.Cluster.Raft;

/// <summary>An entry of the journal as the engine reads it.</summary>
internal sealed class JournalLogEntry(long term, RecordKind kind, ReadOnlyMemory<byte> payload) : IRaftLogEntry
{
    public long Term => term;

    public bool IsConfiguration => kind == RecordKind.Configuration;

    public ReadOnlyMemory<byte> Content => payload;

    public long? Length => payload.Length;

    public bool IsReusable => true;

    public bool TryGetMemory(out ReadOnlyMemory<byte> memory)
    {
        memory = payload;
        return true;
    }

    public ValueTask WriteToAsync<TWriter>(TWriter writer, CancellationToken token)
        where TWriter : IAsyncBinaryWriter => writer.Invoke(payload, token);
}
