namespace Quorumail.Server.Storage;

/// <summary>
/// Whether the disk can take mail. Two things stop it: too little free space, which passes, and a failed write or
/// fsync, which does not: what the disk holds after one is unknown, so the node has to stop and start again.
/// </summary>
public sealed class StorageHealth
{
    private readonly TaskCompletionSource<Exception> _failed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile Exception? _failure;
    private volatile string? _shortage;

    /// <summary>Whether new mail may be accepted. Delivery goes on when this is false for lack of space.</summary>
    public bool AcceptsMail => _shortage is null && _failure is null;

    /// <summary>Why not, in a sentence for the operator; null while mail is accepted.</summary>
    public string? Reason => _failure?.Message ?? _shortage;

    /// <summary>Completes when a write or an fsync has failed: the node must stop.</summary>
    public Task<Exception> Failed => _failed.Task;

    /// <summary>Why space is short, in a sentence; null while it is not.</summary>
    internal string? Shortage => _shortage;

    /// <summary>The failure, once there is one.</summary>
    internal Exception? Failure => _failure;

    /// <summary>Records that the disk has failed; the first failure stays.</summary>
    internal void Fail(Exception failure)
    {
        if (Interlocked.CompareExchange(ref _failure, failure, null) is null)
        {
            _failed.SetResult(failure);
        }
    }

    /// <summary>Records that space is short, or with null that it no longer is.</summary>
    internal void SetShortage(string? reason) => _shortage = reason;
}
