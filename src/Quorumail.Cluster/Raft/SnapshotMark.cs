using System.Buffers.Binary;
using DotNext.IO;
using DotNext.Net.Cluster.Consensus.Raft.StateMachine;
using Quorumail.Cluster.Disk;
using Quorumail.Cluster.Log;

namespace Quorumail.Cluster.Raft;

/// <summary>
/// The point up to which the log is forgotten, in a file of its own: version byte, index, term and stamp (8 bytes each,
/// little-endian). As an entry it streams the whole state, for a member that lags behind it.
/// </summary>
internal sealed class SnapshotMark : ISnapshot
{
    private const byte Version = 1;
    private const int Size = 25;

    private readonly IReplicatedState _state;
    private readonly string _path;

    public SnapshotMark(string directory, IReplicatedState state)
    {
        _state = state;
        _path = Path.Combine(directory, "snapshot");
        if (File.Exists(_path))
        {
            byte[] bytes = File.ReadAllBytes(_path);
            if (bytes.Length != Size || bytes[0] != Version)
            {
                throw new LogFormatException($"{_path} is not of a version that this program reads.");
            }

            Index = BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(1));
            Term = BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(9));
            Stamp = BinaryPrimitives.ReadInt64LittleEndian(bytes.AsSpan(17));
        }
    }

    public long Index { get; private set; }

    public long Term { get; private set; }

    /// <summary>Highest stamp up to the index.</summary>
    public long Stamp { get; private set; }

    public long? Length => null;

    public bool IsReusable => true;

    /// <summary>Moves the mark, durably.</summary>
    public void Move(long index, long term, long stamp)
    {
        byte[] bytes = new byte[Size];
        bytes[0] = Version;
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(1), index);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(9), term);
        BinaryPrimitives.WriteInt64LittleEndian(bytes.AsSpan(17), stamp);
        DurableFile.Replace(_path, bytes);
        Term = term;
        Stamp = stamp;
        Index = index;
    }

    public async ValueTask WriteToAsync<TWriter>(TWriter writer, CancellationToken token)
        where TWriter : IAsyncBinaryWriter
    {
        await using Stream stream = new WriterStream<TWriter>(writer);
        await _state.SaveSnapshotAsync(stream, token);
    }

    private sealed class WriterStream<TWriter>(TWriter writer) : Stream
        where TWriter : IAsyncBinaryWriter
    {
        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position
        {
            get => throw new NotSupportedException();
            set => throw new NotSupportedException();
        }

        public override void Flush()
        {
        }

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) =>
            WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default) =>
            writer.Invoke(buffer, cancellationToken);
    }
}
