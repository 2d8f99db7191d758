namespace Quorumail.Cluster.Raft;

/// <summary>
/// The questions that one candidate has sent for one election. The engine waits for the answer of every member; as soon as
/// the outcome is certain the missing ones are given up, so that a silent member holds up nobody.
/// </summary>
internal sealed class ElectionRound(long term, bool isPreVote, int members, Task<bool> stands)
{
    private readonly Lock _lock = new();
    private readonly List<TaskCompletionSource<bool>> _open = [];
    private int _asked;
    private int _granted;
    private int _failed;
    private bool _isCertain;

    /// <summary>Whether the candidate stands, as soon as it knows: nobody is asked before, and nobody if it does not.</summary>
    public Task<bool> Stands => stands;

    /// <summary>Whether a question belongs to it.</summary>
    public bool Takes(long otherTerm, bool otherIsPreVote)
    {
        lock (_lock)
        {
            return term == otherTerm && isPreVote == otherIsPreVote && _asked < members;
        }
    }

    /// <summary>A member is asked; the task fails when its answer does not matter any more.</summary>
    public TaskCompletionSource<bool> Ask()
    {
        TaskCompletionSource<bool> question = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_lock)
        {
            _asked++;
            if (_isCertain)
            {
                question.TrySetResult(false);
            }
            else
            {
                _open.Add(question);
            }
        }

        return question;
    }

    /// <summary>A member has answered, or can't.</summary>
    public void Answered(TaskCompletionSource<bool> question, bool isGranted)
    {
        List<TaskCompletionSource<bool>> needless = [];
        lock (_lock)
        {
            _open.Remove(question);
            _granted += isGranted ? 1 : 0;
            _failed += isGranted ? 0 : 1;
            int majority = (members / 2) + 1;
            if (_granted >= majority || _failed > members - majority)
            {
                _isCertain = true;
                needless.AddRange(_open);
                _open.Clear();
            }
        }

        needless.ForEach(static n => n.TrySetResult(false));
    }
}
