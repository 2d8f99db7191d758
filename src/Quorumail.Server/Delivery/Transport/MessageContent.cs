using Quorumail.Server.Storage;

namespace Quorumail.Server.Delivery.Transport;

/// <summary>A message on its way out: as it is stored, or converted for a next hop.</summary>
internal abstract class MessageContent : IDisposable
{
    /// <summary>Octets.</summary>
    public abstract long Size { get; }

    /// <summary>The next octets, valid until the next call; empty at the end.</summary>
    /// <exception cref="StorageException">It can't be read whole; nothing of it may be taken for the message.</exception>
    public abstract ValueTask<ReadOnlyMemory<byte>> ReadAsync(CancellationToken token);

    public abstract void Dispose();
}

/// <summary>A message as it was received, verified while it is read.</summary>
internal sealed class StoredContent(BodyReader reader) : MessageContent
{
    public override long Size => reader.Size;

    public override ValueTask<ReadOnlyMemory<byte>> ReadAsync(CancellationToken token) => reader.ReadAsync(token);

    public override void Dispose() => reader.Dispose();
}

/// <summary>A message in memory.</summary>
internal sealed class MemoryContent(ReadOnlyMemory<byte> octets) : MessageContent
{
    private bool _isRead;

    public override long Size => octets.Length;

    public override ValueTask<ReadOnlyMemory<byte>> ReadAsync(CancellationToken token)
    {
        var next = _isRead ? ReadOnlyMemory<byte>.Empty : octets;
        _isRead = true;
        return ValueTask.FromResult(next);
    }

    public override void Dispose()
    {
    }
}
