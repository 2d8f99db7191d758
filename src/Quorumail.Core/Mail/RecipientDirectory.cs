using System.Globalization;
using Quorumail.Core.Smtp.Authentication;

namespace Quorumail.Core.Mail;

/// <summary>
/// Who receives mail here: local domains, users, aliases, and the domains that are relayed. Aliases are followed when the
/// directory is made; asking it costs a few look-ups. Immutable. Local parts of ours compare without case.
/// </summary>
public sealed class RecipientDirectory
{
    /// <summary>Aliases that may stand behind one another.</summary>
    public const int AliasDepthMax = 10;

    /// <summary>Addresses that one alias may stand for in the end.</summary>
    public const int AliasTargetsMax = 1000;

    /// <summary>The mailbox of mail to postmaster that nobody else gets (RFC 5321 4.5.1).</summary>
    public const string PostmasterMailbox = "postmaster";

    private static readonly StringComparer Comparer = StringComparer.OrdinalIgnoreCase;

    private readonly HashSet<string> _localDomains;
    private readonly HashSet<string> _relayDomains;
    private readonly Dictionary<string, string> _mailboxes = new(Comparer);
    private readonly Dictionary<string, string> _addresses = new(Comparer);
    private readonly Dictionary<string, string[]> _expansions = new(Comparer);
    private readonly Dictionary<string, PasswordHash> _hashes = new(StringComparer.Ordinal);
    private readonly IReadOnlyDictionary<string, IReadOnlyList<string>> _aliases;
    private readonly string _primaryDomain;

    /// <param name="localDomains">Domains whose mailboxes are here; at least one, the first completes addresses without domain.</param>
    /// <param name="relayDomains">Domains that are passed on for anyone.</param>
    /// <param name="users">Mailboxes.</param>
    /// <param name="aliases">From an address, a local part (in every local domain) or "@domain" to addresses, user names or aliases.</param>
    /// <param name="errors">Takes one sentence for each thing that is wrong; the directory is usable only if there is none.</param>
    public RecipientDirectory(
        IReadOnlyList<string> localDomains,
        IReadOnlyList<string> relayDomains,
        IReadOnlyList<DirectoryUser> users,
        IReadOnlyDictionary<string, IReadOnlyList<string>> aliases,
        ICollection<string> errors)
    {
        ArgumentNullException.ThrowIfNull(localDomains);
        ArgumentNullException.ThrowIfNull(users);
        ArgumentNullException.ThrowIfNull(aliases);
        ArgumentNullException.ThrowIfNull(errors);
        ArgumentOutOfRangeException.ThrowIfZero(localDomains.Count, nameof(localDomains));
        _localDomains = new HashSet<string>(localDomains, Comparer);
        _relayDomains = new HashSet<string>(relayDomains, Comparer);
        _primaryDomain = localDomains[0];
        _aliases = new Dictionary<string, IReadOnlyList<string>>(aliases, Comparer);
        foreach (var user in users)
        {
            Add(user, errors);
        }

        UsualIterations = _hashes.Values.GroupBy(hash => hash.Iterations).MaxBy(group => group.Count())?.Key ?? PasswordHash.DefaultIterations;
        foreach (var domain in _localDomains)
        {
            _mailboxes.TryAdd($"{PostmasterMailbox}@{domain}", PostmasterMailbox);
        }

        foreach (var alias in _aliases.Keys)
        {
            AddExpansion(alias, errors);
        }
    }

    /// <summary>Iterations of most users' hashes: a decoy that has them doesn't stand out.</summary>
    public int UsualIterations { get; }

    /// <summary>What becomes of mail to a forward-path.</summary>
    /// <param name="path">As the client wrote it.</param>
    /// <param name="mayRelay">The client is trusted or has authenticated.</param>
    /// <param name="address">Where it goes, if that is one address.</param>
    /// <param name="addresses">Where it goes, if those are several; otherwise null.</param>
    public AddressVerdict Resolve(MailPath path, bool mayRelay, out string address, out IReadOnlyList<string>? addresses)
    {
        address = path.Address;
        addresses = null;
        if (path.HasNoDomain || _localDomains.GetAlternateLookup<ReadOnlySpan<char>>().Contains(path.Domain))
        {
            return ResolveLocal(path, ref address, ref addresses);
        }

        if (mayRelay)
        {
            return AddressVerdict.Relay;
        }

        // "%", "!" and "@" in the local part ask the next host to relay in its turn.
        return _relayDomains.GetAlternateLookup<ReadOnlySpan<char>>().Contains(path.Domain) && !path.LocalPart.ContainsAny("%!@:")
            ? AddressVerdict.Relay
            : AddressVerdict.RelayDenied;
    }

    /// <summary>Name of the mailbox of an address that <see cref="Resolve"/> gave, or null if it is not delivered here.</summary>
    public string? MailboxOf(string address)
    {
        ArgumentNullException.ThrowIfNull(address);
        return _mailboxes.GetValueOrDefault(address);
    }

    /// <summary>
    /// The addresses that mail to an address goes to, as <see cref="Resolve"/> says for someone who may relay; none if it is
    /// ours and nobody has it.
    /// </summary>
    public IReadOnlyList<string> ReadersOf(string address)
    {
        if (!MailPath.TryParseAddress(address, out var path))
        {
            return [address];
        }

        return Resolve(path, mayRelay: true, out var reader, out var readers) == AddressVerdict.UnknownUser ? [] : readers ?? [reader];
    }

    /// <summary>Whether a user may send from a reverse-path: their own addresses and the null sender (for receipts, RFC 8098).</summary>
    public bool MaySendFrom(string user, MailPath path) => path.IsNull
        || (_mailboxes.TryGetValue(path.Address, out var mailbox) && string.Equals(mailbox, user, StringComparison.Ordinal)
            && _addresses.ContainsKey(path.Address));

    /// <summary>The password hash of a user who may log in, or null.</summary>
    public PasswordHash? FindHash(string user)
    {
        ArgumentNullException.ThrowIfNull(user);
        return _hashes.GetValueOrDefault(user);
    }

    private AddressVerdict ResolveLocal(MailPath path, ref string address, ref IReadOnlyList<string>? addresses)
    {
        var local = path.LocalPart.Length > 0 && path.LocalPart[0] == '"' ? path.UnquotedLocalPart() : null;
        var key = path.HasNoDomain ? $"{path.Address}@{_primaryDomain}"
            : local is null ? path.Address
            : $"{local}@{path.Domain}";
        if (_expansions.TryGetValue(key, out var targets)
            || _expansions.GetAlternateLookup<ReadOnlySpan<char>>().TryGetValue(local ?? path.LocalPart, out targets))
        {
            return Take(targets, ref address, ref addresses);
        }

        if (_addresses.TryGetValue(key, out var known))
        {
            address = known;
            return AddressVerdict.Local;
        }

        if (_mailboxes.ContainsKey(key))
        {
            address = key;
            return AddressVerdict.Local;
        }

        return _expansions.TryGetValue($"@{path.Domain}", out targets)
            ? Take(targets, ref address, ref addresses)
            : AddressVerdict.UnknownUser;
    }

    private static AddressVerdict Take(string[] targets, ref string address, ref IReadOnlyList<string>? addresses)
    {
        address = targets[0];
        addresses = targets.Length > 1 ? targets : null;
        return AddressVerdict.Local;
    }

    private void Add(DirectoryUser user, ICollection<string> errors)
    {
        var addresses = user.Addresses.Count > 0 ? user.Addresses : [.. _localDomains.Select(domain => $"{user.Name}@{domain}")];
        foreach (var address in addresses)
        {
            if (!MailPath.TryParseAddress(address, out var path))
            {
                errors.Add($"user {user.Name}: \"{address}\" is no address");
            }
            else if (!_localDomains.Contains(path.Domain.ToString()))
            {
                errors.Add($"user {user.Name}: the domain of {address} is not in local_domains");
            }
            else if (!_mailboxes.TryAdd(path.Address, user.Name))
            {
                errors.Add($"user {user.Name}: {address} belongs to {_mailboxes[path.Address]} already");
            }
            else
            {
                _addresses[path.Address] = path.Address;
            }
        }

        if (user.PasswordHash.Length == 0)
        {
            return;
        }

        if (PasswordHash.TryParse(user.PasswordHash, out var hash))
        {
            _hashes[user.Name] = hash!;
        }
        else
        {
            errors.Add($"user {user.Name}: password_hash is not what \"smtp-server password\" prints");
        }
    }

    private void AddExpansion(string alias, ICollection<string> errors)
    {
        var at = alias.LastIndexOf('@');
        if (at >= 0 && !_localDomains.Contains(alias[(at + 1)..]))
        {
            errors.Add($"alias {alias}: its domain is not in local_domains");
            return;
        }

        var targets = new List<string>();
        var fault = Expand(alias, [], targets);
        if (fault is null && targets.Count is 0 or > AliasTargetsMax)
        {
            fault = targets.Count == 0 ? "has no target" : string.Create(CultureInfo.InvariantCulture, $"stands for more than {AliasTargetsMax} addresses");
        }

        if (fault is not null)
        {
            errors.Add($"alias {alias}: {fault}");
            return;
        }

        _expansions[alias] = [.. targets];
    }

    /// <summary>Follows an alias to its ends; null, or what is wrong.</summary>
    private string? Expand(string alias, List<string> path, List<string> ends)
    {
        if (path.Contains(alias, Comparer))
        {
            return $"leads to itself ({string.Join(" → ", path)} → {alias})";
        }

        if (path.Count >= AliasDepthMax)
        {
            return string.Create(CultureInfo.InvariantCulture, $"leads through more than {AliasDepthMax} aliases");
        }

        path.Add(alias);
        foreach (var target in _aliases[alias])
        {
            // A mailbox may stand among its own targets, to keep a copy.
            var isOwn = Comparer.Equals(target, alias);
            var next = isOwn ? null : AliasOf(target);
            var fault = next is not null ? Expand(next, path, ends) : End(target, ends);
            if (fault is not null)
            {
                return fault;
            }

            if (ends.Count > AliasTargetsMax)
            {
                break;
            }
        }

        path.RemoveAt(path.Count - 1);
        return null;
    }

    /// <summary>The alias that an address or a local part leads to next, or null.</summary>
    private string? AliasOf(string target)
    {
        if (_aliases.ContainsKey(target))
        {
            return target;
        }

        var at = target.LastIndexOf('@');
        if (at < 0 || !_localDomains.Contains(target[(at + 1)..]))
        {
            return null;
        }

        var local = target[..at];
        if (_aliases.ContainsKey(local))
        {
            return local;
        }

        var catchAll = target[at..];
        return !_mailboxes.ContainsKey(target) && _aliases.ContainsKey(catchAll) ? catchAll : null;
    }

    private string? End(string target, List<string> ends)
    {
        var address = target.Contains('@', StringComparison.Ordinal) ? target : AddressOfMailbox(target);
        if (address is null || !MailPath.TryParseAddress(address, out var path))
        {
            return $"\"{target}\" is neither an address nor a user";
        }

        if (_localDomains.Contains(path.Domain.ToString()) && !_mailboxes.ContainsKey(path.Address))
        {
            return $"{target} is nobody's address here";
        }

        var end = _addresses.GetValueOrDefault(path.Address, path.Address);
        if (!ends.Contains(end, StringComparer.Ordinal))
        {
            ends.Add(end);
        }

        return null;
    }

    /// <summary>The first address of a user, by name.</summary>
    private string? AddressOfMailbox(string name)
    {
        foreach (var (address, mailbox) in _mailboxes)
        {
            if (Comparer.Equals(mailbox, name))
            {
                return address;
            }
        }

        return null;
    }
}
