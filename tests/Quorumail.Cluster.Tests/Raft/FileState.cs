using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Quorumail.Cluster.Disk;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Tests.Raft;

/// <summary>A state that lists the numbers applied, in a file that is replaced by each flush.</summary>
internal sealed class FileState : IReplicatedState
{
    private readonly string _path;
    private readonly Lock _lock = new(); // A flush runs beside the applying.
    private readonly List<int> _numbers = [];

    public FileState(string path)
    {
        _path = path;
        if (File.Exists(path))
        {
            ReadOnlySpan<byte> bytes = File.ReadAllBytes(path);
            AppliedIndex = BinaryPrimitives.ReadInt64LittleEndian(bytes);
            _numbers.AddRange(MemoryMarshal.Cast<byte, int>(bytes[8..]));
        }
    }

    public long AppliedIndex { get; private set; }

    public IReadOnlyList<int> Numbers => _numbers;

    public void Apply(long index, long stamp, IReadOnlyList<ReadOnlyMemory<byte>> commands, Span<ReadOnlyMemory<byte>> answers)
    {
        lock (_lock)
        {
            foreach (ReadOnlyMemory<byte> command in commands)
            {
                _numbers.Add(BitConverter.ToInt32(command.Span));
            }

            AppliedIndex = index;
        }
    }

    public ValueTask<long> FlushAsync(CancellationToken token)
    {
        byte[] bytes;
        long index;
        lock (_lock)
        {
            index = AppliedIndex;
            bytes = new byte[8 + (4 * _numbers.Count)];
            BinaryPrimitives.WriteInt64LittleEndian(bytes, index);
            MemoryMarshal.AsBytes(CollectionsMarshal.AsSpan(_numbers)).CopyTo(bytes.AsSpan(8));
        }

        DurableFile.Replace(_path, bytes);
        return ValueTask.FromResult(index);
    }

    public ValueTask<long> SaveSnapshotAsync(Stream destination, CancellationToken token) => throw new NotSupportedException();

    public ValueTask LoadSnapshotAsync(Stream source, long index, CancellationToken token) => throw new NotSupportedException();
}
