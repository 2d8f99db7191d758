using DotNext.IO;
using DotNext.Net.Cluster.Consensus.Raft;

namespace Quorumail.Cluster.Raft;

/// <summary>An entry on its way into the log, with those who wait for it; a barrier if it is empty.</summary>
internal sealed class ProposalEntry(long term, ReadOnlyMemory<byte> content, ProposalBatch? batch) : IRaftLogEntry
{
    public long Term => term;

    public long? Length => content.Length;

    public bool IsReusable => true;

    public ProposalBatch? Batch => batch;

    /// <summary>Whether the entry has reached the log: from then on it may become committed.</summary>
    public bool IsAppended { get; set; }

    public bool TryGetMemory(out ReadOnlyMemory<byte> memory)
    {
        memory = content;
        return true;
    }

    public ValueTask WriteToAsync<TWriter>(TWriter writer, CancellationToken token)
        where TWriter : IAsyncBinaryWriter => writer.Invoke(content, token);
}
