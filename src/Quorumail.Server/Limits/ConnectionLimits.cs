using System.Net;
using Quorumail.Core.Limits;
using Quorumail.Core.Mail;

namespace Quorumail.Server.Limits;

/// <summary>
/// What the transaction of one connection takes of the cluster's limits: a token of each limit for its sender, one for each domain
/// of its recipients. What a message took that was not accepted after all is put back. For one caller at a time.
/// </summary>
internal sealed class ConnectionLimits(SharedLimits limits)
{
    private readonly List<(string Limit, string Key)> _wanted = [];
    private readonly List<LimitToken> _taken = [];
    private readonly List<LimitToken> _used = [];
    private readonly HashSet<string> _domains = new(StringComparer.Ordinal);
    private int _next;

    /// <summary>A transaction begins.</summary>
    /// <param name="client">Whose connection it is; null: the limits per address don't concern it.</param>
    /// <param name="user">Who has logged in; null: nobody.</param>
    /// <param name="sender">The reverse-path.</param>
    public void Begin(IPAddress? client, string? user, MailPath sender)
    {
        End();
        if (client is not null && limits.Has(LimitNames.PerAddress))
        {
            _wanted.Add((LimitNames.PerAddress, LimitNames.KeyOf(client)));
        }

        if (user is not null && limits.Has(LimitNames.PerUser))
        {
            _wanted.Add((LimitNames.PerUser, LimitNames.KeyOf(user)));
        }

        if (limits.Has(LimitNames.PerSenderDomain) && LimitNames.KeyOf(sender) is { } domain)
        {
            _wanted.Add((LimitNames.PerSenderDomain, domain));
        }
    }

    /// <summary>The transaction gets a recipient.</summary>
    public void Add(MailPath recipient)
    {
        _wanted.Clear();
        _next = 0;
        if (limits.Has(LimitNames.PerRecipientDomain) && LimitNames.KeyOf(recipient) is { } domain && !_domains.Contains(domain))
        {
            _wanted.Add((LimitNames.PerRecipientDomain, domain));
        }
    }

    /// <summary>Takes what is still wanted, as far as that needs no waiting.</summary>
    /// <param name="wait">Complete when it makes sense to try again.</param>
    public LimitVerdict Try(out Task? wait)
    {
        wait = null;
        for (; _next < _wanted.Count; _next++)
        {
            var (limit, key) = _wanted[_next];
            var verdict = limits.TryTake(limit, key, out var token, out wait);
            if (verdict != LimitVerdict.Passed)
            {
                return verdict;
            }

            if (token.Until != 0)
            {
                _taken.Add(token);
            }

            if (limit == LimitNames.PerRecipientDomain)
            {
                _domains.Add(key);
            }
        }

        return LimitVerdict.Passed;
    }

    /// <summary>Takes what is still wanted.</summary>
    /// <returns>Null if that could not be known in time.</returns>
    public async ValueTask<LimitVerdict?> TakeAsync(CancellationToken token)
    {
        try
        {
            while (true)
            {
                var verdict = Try(out var wait);
                if (verdict != LimitVerdict.Wait)
                {
                    return verdict;
                }

                await wait!.WaitAsync(token);
            }
        }
        catch (OperationCanceledException)
        {
            return null;
        }
    }

    /// <summary>The message may be accepted: what it took is used.</summary>
    public void Use()
    {
        _used.Clear();
        _used.AddRange(_taken);
        _taken.Clear();
    }

    /// <summary>The message for which all was used last has not been accepted, and will not be: it is put back.</summary>
    public void Refused()
    {
        foreach (var token in _used)
        {
            limits.PutBack(token);
        }

        _used.Clear();
    }

    /// <summary>The transaction is over: what it took and did not use is put back.</summary>
    public void End()
    {
        foreach (var token in _taken)
        {
            limits.PutBack(token);
        }

        _taken.Clear();
        _wanted.Clear();
        _domains.Clear();
        _next = 0;
    }
}
