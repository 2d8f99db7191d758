using System.Threading.Tasks.Sources;
using Quorumail.Server.Storage.Rocks;

namespace Quorumail.Server.Storage;

/// <summary>
/// One caller's part of a group commit. Used for one write at a time and may be used again after it has completed.
/// </summary>
internal abstract class WriteRequest : IValueTaskSource
{
    private ManualResetValueTaskSourceCore<bool> _completion = new() { RunContinuationsAsynchronously = true };

    /// <summary>Whether the caller needs the write to be on the disk before it completes.</summary>
    public abstract bool NeedsSync { get; }

    /// <summary>About how many bytes the request adds to the batch; bounds a group.</summary>
    public abstract int ByteCount { get; }

    /// <summary>Adds the changes. Called once per write by the writer's thread; must not throw. What was added is copied.</summary>
    public abstract void AddTo(RocksBatch batch);

    /// <summary>Called by the writer's thread when the group is written (and synced, if one in it needed that), before the caller goes on.</summary>
    protected virtual void OnWritten()
    {
    }

    internal ValueTask BeginAsync()
    {
        _completion.Reset();
        return new ValueTask(this, _completion.Version);
    }

    /// <summary>Ends the write; with a failure, nothing is known of it.</summary>
    internal void End(Exception? failure)
    {
        if (failure is not null)
        {
            _completion.SetException(failure);
            return;
        }

        OnWritten();
        _completion.SetResult(true);
    }

    void IValueTaskSource.GetResult(short token) => _completion.GetResult(token);

    ValueTaskSourceStatus IValueTaskSource.GetStatus(short token) => _completion.GetStatus(token);

    void IValueTaskSource.OnCompleted(
        Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _completion.OnCompleted(continuation, state, token, flags);
}
