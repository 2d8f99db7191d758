using System.Threading.Tasks.Sources;
using Quorumail.Cluster.Journal;
using Quorumail.Core.Mail;

namespace Quorumail.Server.Storage;

/// <summary>
/// A record of a body in the journal: length of its key in the database (1 byte), key, value. Used for one write at a
/// time and again after that.
/// </summary>
internal sealed class BodyRecord : LocalRecord, IValueTaskSource
{
    private readonly byte[] _key = new byte[BodyFormat.ChunkKeyLength];
    private ManualResetValueTaskSourceCore<bool> _completion = new() { RunContinuationsAsynchronously = true };
    private int _keyLength;
    private ReadOnlyMemory<byte> _value;
    private bool _needsSync;

    public override int Length => 1 + _keyLength + _value.Length;

    public override bool NeedsSync => _needsSync;

    /// <summary>The key in the database.</summary>
    public ReadOnlySpan<byte> Key => _key.AsSpan(0, _keyLength);

    /// <summary>The value in the database; gone when <see cref="CopyTo"/> has been called.</summary>
    public ReadOnlyMemory<byte> Value => _value;

    /// <summary>Takes the record apart.</summary>
    public static void Read(ReadOnlySpan<byte> record, out ReadOnlySpan<byte> key, out ReadOnlySpan<byte> value)
    {
        key = record.Slice(1, record[0]);
        value = record[(1 + record[0])..];
    }

    /// <summary>Makes it the head, which with small bodies holds the octets too.</summary>
    public void SetHead(QueueId id, ReadOnlyMemory<byte> value)
    {
        id.WriteTo(_key);
        Set(QueueId.ByteLength, value, needsSync: true);
    }

    /// <summary>Makes it a chunk.</summary>
    public void SetChunk(QueueId id, uint number, ReadOnlyMemory<byte> value)
    {
        BodyFormat.WriteChunkKey(id, number, _key);
        Set(BodyFormat.ChunkKeyLength, value, needsSync: false);
    }

    /// <summary>Completes when the record is written, and synced if it is a head.</summary>
    /// <exception cref="StorageException">The disk has failed.</exception>
    public ValueTask WaitAsync() => new(this, _completion.Version);

    public override void CopyTo(Span<byte> destination)
    {
        destination[0] = (byte)_keyLength;
        Key.CopyTo(destination[1..]);
        _value.Span.CopyTo(destination[(1 + _keyLength)..]);
        _value = default;
    }

    public override void Ended(IOException? failure)
    {
        if (failure is null)
        {
            _completion.SetResult(true);
        }
        else
        {
            _completion.SetException(new StorageException("The disk has failed; nothing more is written to it: " + failure.Message, failure));
        }
    }

    void IValueTaskSource.GetResult(short token) => _completion.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _completion.GetStatus(token);

    void IValueTaskSource.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _completion.OnCompleted(continuation, state, token, flags);

    private void Set(int keyLength, ReadOnlyMemory<byte> value, bool needsSync)
    {
        _completion.Reset();
        _keyLength = keyLength;
        _value = value;
        _needsSync = needsSync;
    }
}
