namespace Quorumail.Cluster.Transport;

/// <summary>Tasks that run by themselves, so that their end can be waited for.</summary>
internal sealed class RunningTasks
{
    private readonly Lock _lock = new();
    private readonly HashSet<Task> _tasks = [];

    /// <summary>Keeps a task until it has ended.</summary>
    public void Add(Task task)
    {
        lock (_lock)
        {
            _tasks.Add(task);
        }

        _ = task.ContinueWith(Remove, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    /// <summary>Waits until none runs any more. A failure has been dealt with where it happened.</summary>
    public async Task EndedAsync()
    {
        while (true)
        {
            Task[] tasks;
            lock (_lock)
            {
                if (_tasks.Count == 0)
                {
                    return;
                }

                tasks = [.. _tasks];
            }

            try
            {
                await Task.WhenAll(tasks);
            }
            catch (Exception)
            {
                // Only that they have ended counts here.
            }
        }
    }

    private void Remove(Task task)
    {
        lock (_lock)
        {
            _tasks.Remove(task);
        }
    }
}
