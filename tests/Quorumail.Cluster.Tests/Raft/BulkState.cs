using System.Buffers.Binary;
using Quorumail.Cluster.Disk;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Tests.Raft;

/// <summary>
/// A state of any size that needs no memory: blocks that follow from their numbers, some of which its one file holds after
/// a snapshot. It counts the commands applied.
/// </summary>
internal sealed class BulkState(string path, int blocks) : IReplicatedState
{
    private const int BlockBytes = 1 << 20;

    private long _appliedIndex;
    private long _commands;

    public long AppliedIndex => Interlocked.Read(ref _appliedIndex);

    /// <summary>Commands applied, those before a snapshot included.</summary>
    public long Commands => Interlocked.Read(ref _commands);

    /// <summary>Blocks of 1 MiB that it holds.</summary>
    public int Blocks { get; private set; } = blocks;

    public void Apply(long index, long stamp, IReadOnlyList<ReadOnlyMemory<byte>> commands, Span<ReadOnlyMemory<byte>> answers)
    {
        Interlocked.Add(ref _commands, commands.Count);
        Interlocked.Exchange(ref _appliedIndex, index);
    }

    public ValueTask<long> FlushAsync(CancellationToken token) => ValueTask.FromResult(AppliedIndex);

    public async ValueTask<long> SaveSnapshotAsync(Stream destination, CancellationToken token)
    {
        long index = AppliedIndex;
        byte[] head = new byte[12];
        BinaryPrimitives.WriteInt64LittleEndian(head, Commands);
        BinaryPrimitives.WriteInt32LittleEndian(head.AsSpan(8), Blocks);
        await destination.WriteAsync(head, token);
        byte[] block = new byte[BlockBytes];
        for (int i = 0; i < Blocks; i++)
        {
            new Random(i).NextBytes(block);
            await destination.WriteAsync(block, token);
        }

        return index;
    }

    public async ValueTask LoadSnapshotAsync(Stream source, long index, CancellationToken token)
    {
        byte[] head = new byte[12];
        await source.ReadExactlyAsync(head, token);
        int count = BinaryPrimitives.ReadInt32LittleEndian(head.AsSpan(8));
        byte[] expected = new byte[BlockBytes];
        byte[] block = new byte[BlockBytes];
        await using (FileStream file = new(path, FileMode.Create, FileAccess.Write, FileShare.None, bufferSize: 0))
        {
            for (int i = 0; i < count; i++)
            {
                await source.ReadExactlyAsync(block, token);
                new Random(i).NextBytes(expected);
                Assert.True(block.AsSpan().SequenceEqual(expected), $"block {i} has changed on its way");
                await file.WriteAsync(block, token);
            }

            Fsync.File(file.SafeFileHandle);
        }

        Blocks = count;
        Interlocked.Exchange(ref _commands, BinaryPrimitives.ReadInt64LittleEndian(head));
        Interlocked.Exchange(ref _appliedIndex, index);
    }
}
