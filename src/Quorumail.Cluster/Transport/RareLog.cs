namespace Quorumail.Cluster.Transport;

/// <summary>
/// Says what is said again and again only rarely: the first time, and then once in a while. Bounded: when there are
/// many things to say, the oldest are forgotten (and would be said again).
/// </summary>
internal sealed class RareLog(TimeProvider time, TimeSpan interval)
{
    private const int Max = 256;

    private readonly Lock _lock = new();
    private readonly Dictionary<(string Topic, string Subject), long> _said = [];

    /// <summary>Whether to say it now.</summary>
    public bool IsDue(string topic, string subject)
    {
        lock (_lock)
        {
            var now = time.GetTimestamp();
            if (_said.TryGetValue((topic, subject), out var last) && time.GetElapsedTime(last, now) < interval)
            {
                return false;
            }

            if (_said.Count >= Max)
            {
                _said.Remove(_said.MinBy(pair => pair.Value).Key);
            }

            _said[(topic, subject)] = now;
            return true;
        }
    }

    /// <summary>It is over: when anything of it comes back, it is news.</summary>
    public void Forget(string subject)
    {
        lock (_lock)
        {
            foreach (var key in _said.Keys.Where(key => string.Equals(key.Subject, subject, StringComparison.Ordinal)).ToList())
            {
                _said.Remove(key);
            }
        }
    }
}
