using System.IO.Hashing;
using Quorumail.Core.Mail;
using Quorumail.Server.Storage;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Replication;

/// <summary>
/// Makes this disk's copy of a body whole, of the sound records that it has and those that another disk gives. What is sound is
/// kept until all of the body is known to be on the other disk, so that nothing is lost that others may need. One record at a
/// time is in memory. What was written remains if it fails: the next disk need not give it again.
/// </summary>
/// <param name="database">This disk.</param>
/// <param name="id">Whose body.</param>
/// <param name="size">Octets that it must have.</param>
/// <param name="hash">Hash that it must have.</param>
/// <param name="fetch">Gives the other disk's records.</param>
internal sealed class BodyRepair(Database database, QueueId id, long size, ReadOnlyMemory<byte> hash, Func<uint, Task<ReadOnlyMemory<byte>>> fetch)
{
    /// <summary>Returns when the body is whole, and on this disk.</summary>
    /// <exception cref="StorageException">The other disk does not have what is needed, or this one has failed.</exception>
    public async Task RunAsync(CancellationToken token)
    {
        var head = Own(BodyFrame.Head);
        if (!IsMessages(head))
        {
            head = await FetchAsync(BodyFrame.Head);
            if (!IsMessages(head))
            {
                throw new BodyCorruptException(id, "the copy is another message's");
            }
        }

        var (_, _, chunkLength) = BodyFormat.ReadHead(id, head.Span);
        var chunks = chunkLength > 0 ? (uint)BodyFormat.ChunkCount(size) : 0;
        if (chunks > 0 && !await MendAsync(chunks, token))
        {
            // Chunks that are sound, and another message's.
            await ReplaceAsync(chunks, token);
        }

        // Syncs the chunks, too.
        await (await BodyRecords.WriteAsync(database, id, BodyFrame.Head, head, replaces: true))!.WaitAsync();
    }

    /// <summary>Brings the chunks that are not sound here; false if the whole does not have its hash then.</summary>
    private async Task<bool> MendAsync(uint chunks, CancellationToken token)
    {
        XxHash128 found = new();
        for (uint number = 0; number < chunks; number++)
        {
            token.ThrowIfCancellationRequested();
            var chunk = Own(number);
            if (chunk.IsEmpty)
            {
                chunk = await FetchAsync(number);
                await WriteAsync(number, chunk);
            }

            found.Append(chunk.Span[BodyFormat.ChecksumLength..]);
        }

        return found.GetCurrentHash().AsSpan().SequenceEqual(hash.Span);
    }

    private async Task ReplaceAsync(uint chunks, CancellationToken token)
    {
        XxHash128 given = new();
        for (uint number = 0; number < chunks; number++)
        {
            token.ThrowIfCancellationRequested();
            given.Append((await FetchAsync(number)).Span[BodyFormat.ChecksumLength..]);
        }

        if (!given.GetCurrentHash().AsSpan().SequenceEqual(hash.Span))
        {
            throw new BodyCorruptException(id, "the whole copy does not have its hash");
        }

        for (uint number = 0; number < chunks; number++)
        {
            token.ThrowIfCancellationRequested();
            await WriteAsync(number, await FetchAsync(number));
        }
    }

    private async Task WriteAsync(uint number, ReadOnlyMemory<byte> chunk) =>
        await (await BodyRecords.WriteAsync(database, id, number, chunk, replaces: true))!.WaitAsync();

    private async Task<ReadOnlyMemory<byte>> FetchAsync(uint number)
    {
        var record = await fetch(number);
        return BodyRecords.IsSound(id, number, record.Span) ? record : throw new BodyCorruptException(id, "a piece of the copy is damaged");
    }

    /// <summary>A record of this disk; empty if it is not there, or not sound.</summary>
    private ReadOnlyMemory<byte> Own(uint number)
    {
        try
        {
            return BodyRecords.Get(database, id, number) is { } record && BodyRecords.IsSound(id, number, record) ? record : default;
        }
        catch (RocksException)
        {
            return default;
        }
    }

    private bool IsMessages(ReadOnlyMemory<byte> head)
    {
        if (head.IsEmpty)
        {
            return false;
        }

        var (foundSize, foundHash, _) = BodyFormat.ReadHead(id, head.Span);
        return foundSize == size && BodyFormat.HashBytes(foundHash).AsSpan().SequenceEqual(hash.Span);
    }
}
