namespace Quorumail.Cluster.Raft;

/// <summary>Wakes everybody who waits for something to change.</summary>
internal sealed class AsyncSignal
{
    private TaskCompletionSource _next = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Completes with the next change; to be taken before what may change is looked at.</summary>
    public Task Next => Volatile.Read(ref _next).Task;

    /// <summary>Something has changed.</summary>
    public void Set() =>
        Interlocked.Exchange(ref _next, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();

    /// <summary>Waits for a change that was asked for by <see cref="Next"/>, or for a time, whichever is first.</summary>
    public static async Task WaitAsync(Task change, TimeSpan atMost, TimeProvider time, CancellationToken token)
    {
        try
        {
            await change.WaitAsync(atMost, time, token);
        }
        catch (TimeoutException)
        {
            // Looked at again all the same.
        }
    }
}
