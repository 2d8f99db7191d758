using System.Globalization;
using System.Net;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using Quorumail.Server.Smtp;

namespace Quorumail.Server.Configuration;

/// <summary>Judges what depends on several values at once. Returns every problem, not the first.</summary>
internal sealed class ConfigValidator(
    QuorumailOptions options,
    IReadOnlyDictionary<string, string> sources,
    List<string> warnings)
{
    private const int LineLengthMin = 1000;

    private readonly List<ConfigProblem> _problems = [];

    /// <summary>Checks everything.</summary>
    public IReadOnlyList<ConfigProblem> Validate()
    {
        CheckServer();
        CheckHttp();
        CheckTls();
        CheckListeners();
        CheckRoutes();
        CheckQueue();
        CheckDirectory();
        CheckCluster();
        return _problems;
    }

    private void CheckServer()
    {
        CheckDomain("server.hostname", options.Server.Hostname, allowLiteral: true);
        CheckDomains("server.local_domains", options.Server.LocalDomains);
        CheckDomains("server.relay_domains", options.Server.RelayDomains);
        foreach (var domain in options.Server.RelayDomains.Intersect(options.EffectiveLocalDomains, StringComparer.OrdinalIgnoreCase))
        {
            Report("server.relay_domains", domain, "is a local domain as well", "A domain is either here or passed on: remove it from one of the lists.");
        }

        foreach (var network in options.Server.TrustedNetworks.Where(IsEverywhere))
        {
            Report("server.trusted_networks", network.ToString(), "would let anyone relay", "Name the networks of your own machines.");
        }

        foreach (var network in options.Server.ProxyFrom.Where(IsEverywhere))
        {
            Report("server.proxy_from", network.ToString(), "would let anyone say who they are", "Name the addresses of your load balancers.");
        }

        if (options.Server.MaxLineLength is > 0 and < LineLengthMin)
        {
            Report("server.max_line_length", options.Server.MaxLineLength.ToString(CultureInfo.InvariantCulture), "refuses lines that every server must take (RFC 5321 4.5.3.1.6)", "It must be 1000 or more, or 0 for no limit.");
        }

        foreach (var server in options.Delivery.DnsServers.Where(server => !IPEndPoint.TryParse(server, out _)))
        {
            Report("delivery.dns_servers", server, "is not valid", "It must be an address or address:port, such as \"9.9.9.9\" or \"[2620:fe::fe]:53\".");
        }

        if (options.Delivery.Helo.Length > 0)
        {
            CheckDomain("delivery.helo", options.Delivery.Helo, allowLiteral: true);
        }
    }

    // An IPv4 network may be written as one of mapped addresses.
    private static bool IsEverywhere(IPNetwork network) => NetworkList.Plain(network).PrefixLength == 0;

    private void CheckHttp()
    {
        var http = options.Http;
        if (!IPAddress.IsLoopback(http.BindAddress) && http.Token.Length == 0)
        {
            Report("http.bind_address", http.BindAddress.ToString(), "is reachable by others and no token is set", "Set [http] token (SMTP_HTTP_TOKEN), or keep it on 127.0.0.1 and open [http] health_bind for probes.");
        }

        if (http.Token.Length is > 0 and < 16)
        {
            Report("http.token", "********", "is shorter than 16 characters", "Make one: head -c 24 /dev/urandom | base64.");
        }

        if (http.HealthBind.Length > 0 && !TryEndPoint(http.HealthBind, out _))
        {
            Report("http.health_bind", http.HealthBind, "is not valid", "It must be address:port, such as \"0.0.0.0:8081\" or \"[::]:8081\".");
        }
    }

    /// <summary>Reads address:port; the port must be there.</summary>
    internal static bool TryEndPoint(string text, out IPEndPoint endPoint)
    {
        endPoint = new IPEndPoint(IPAddress.Any, 0);
        var colon = text.LastIndexOf(':');
        if (colon <= 0
            || !IPAddress.TryParse(text[..colon], out var address)
            || !ushort.TryParse(text.AsSpan(colon + 1), NumberStyles.None, CultureInfo.InvariantCulture, out var port)
            || (address.AddressFamily == System.Net.Sockets.AddressFamily.InterNetworkV6 && text[0] != '['))
        {
            return false;
        }

        endPoint = new IPEndPoint(address, port);
        return true;
    }

    private void CheckTls()
    {
        var tls = options.Tls;
        if (tls.Cert.Length == 0 && tls.Key.Length == 0)
        {
            return;
        }

        if (tls.Cert.Length == 0 || tls.Key.Length == 0)
        {
            var missing = tls.Cert.Length == 0 ? "cert" : "key";
            Report($"tls.{missing}", null, "is missing", "A certificate needs both [tls] cert and key.");
            return;
        }

        try
        {
            using var certificate = X509Certificate2.CreateFromPemFile(tls.Cert, tls.Key);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            var key = File.Exists(tls.Cert) && CanRead(tls.Cert) ? "key" : "cert";
            Report($"tls.{key}", key is "key" ? tls.Key : tls.Cert, $"can't be read: {exception.Message.TrimEnd('.')}", "Name a PEM file that the server may read.");
        }
        catch (Exception exception) when (exception is CryptographicException or ArgumentException)
        {
            Report("tls.cert", tls.Cert, $"does not go with the key {tls.Key}: {exception.Message.TrimEnd('.')}", "Name a PEM certificate and its unencrypted PEM key.");
        }
    }

    private static bool CanRead(string path)
    {
        try
        {
            File.OpenRead(path).Dispose();
            return true;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return false;
        }
    }

    private void CheckListeners()
    {
        for (var i = 0; i < options.Listeners.Count; i++)
        {
            var listener = options.Listeners[i];
            var name = Numbered("listeners", i);
            if (options.Tls.IsConfigured)
            {
                continue;
            }

            if (listener.Tls == ListenerTls.Implicit)
            {
                Report($"{name}.tls", "implicit", "needs a certificate", "Set [tls] cert and key.");
            }
            else if (listener.Role == ListenerRole.Submission)
            {
                Report($"{name}.role", "submission", "needs TLS, and there is no certificate", "Set [tls] cert and key.");
            }
        }

        for (var i = 0; i < options.Listeners.Count; i++)
        {
            var listener = options.Listeners[i];
            if (listener is { Role: ListenerRole.Submission, Tls: ListenerTls.None })
            {
                Report($"{Numbered("listeners", i)}.tls", "none", "does not go with role submission", "Write tls = \"starttls\" or \"implicit\".");
            }
        }

        var taken = new Dictionary<IPEndPoint, string>();
        Take(new IPEndPoint(options.Server.Host, options.Server.Port), "server.port", taken);
        for (var i = 0; i < options.Listeners.Count; i++)
        {
            Take(new IPEndPoint(options.Listeners[i].Address, options.Listeners[i].Port), $"{Numbered("listeners", i)}.port", taken);
        }

        Take(new IPEndPoint(options.Http.BindAddress, options.Http.Port), "http.port", taken);
        if (TryEndPoint(options.Http.HealthBind, out var health))
        {
            Take(health, "http.health_bind", taken);
        }
    }

    private void Take(IPEndPoint endPoint, string key, Dictionary<IPEndPoint, string> taken)
    {
        if (endPoint.Port == 0)
        {
            return;
        }

        foreach (var (other, otherKey) in taken)
        {
            var overlaps = other.Address.Equals(endPoint.Address)
                || other.Address.Equals(IPAddress.Any) || other.Address.Equals(IPAddress.IPv6Any)
                || endPoint.Address.Equals(IPAddress.Any) || endPoint.Address.Equals(IPAddress.IPv6Any);
            if (other.Port == endPoint.Port && overlaps)
            {
                Report(key, endPoint.ToString(), $"is taken by {otherKey}", "Give each listener a port of its own.");
                return;
            }
        }

        taken[endPoint] = key;
    }

    private void CheckRoutes()
    {
        var matches = new Dictionary<string, int>(StringComparer.OrdinalIgnoreCase);
        for (var i = 0; i < options.Routes.Count; i++)
        {
            var route = options.Routes[i];
            var name = Numbered("routes", i);
            var domain = route.Match.StartsWith("*.", StringComparison.Ordinal) ? route.Match[2..] : route.Match;
            if (domain is not "*")
            {
                CheckDomain($"{name}.match", domain, allowLiteral: false);
            }

            if (!matches.TryAdd(route.Match, i))
            {
                Report($"{name}.match", route.Match, $"is matched by {Numbered("routes", matches[route.Match])} already", "Keep one of them.");
            }

            var transport = ConfigSchema.SnakeCase(route.Transport.ToString());
            var namesHost = transport is "smtp" or "lmtp";
            if (namesHost && route.Host.Length == 0)
            {
                Report($"{name}.host", null, $"is missing for transport {transport}", "Add a line host = \"…\".");
            }
            else if (!namesHost && route.Host.Length > 0)
            {
                Report($"{name}.host", route.Host, $"means nothing to transport {transport}", "Remove it, or write transport = \"smtp\".");
            }

            if ((route.User.Length == 0) != (route.Password.Length == 0))
            {
                Report($"{name}.{(route.User.Length == 0 ? "user" : "password")}", null, "is missing", "AUTH at the next hop needs user and password.");
            }

            if (route.Path.Length > 0 && transport is not "maildir")
            {
                Report($"{name}.path", route.Path, $"means nothing to transport {transport}", "Remove it.");
            }

            if (transport is "maildir" && options.Cluster.Enabled && !route.Shared && (route.Path.Length > 0 || !options.Storage.MaildirShared))
            {
                Report(
                    $"{name}.shared",
                    null,
                    "is not said, and in a cluster each node would file mail on its own disk",
                    "Put the directory on storage common to all nodes and write shared = true, or deliver by LMTP (transport = \"lmtp\").");
            }
        }
    }

    private void CheckQueue()
    {
        if (options.Cluster.Enabled && !options.Storage.MaildirShared && options.EffectiveLocalDomains.Any(local => !options.Routes.Any(route => route.Match == local)))
        {
            warnings.Add("storage.maildir_shared is not set: each node of the cluster files local mail (postmaster's, too) in Maildirs of its own; put storage.maildir_path on common storage and say maildir_shared = true, or route local domains by LMTP");
        }

        if (options.Queue.DelayNoticeAfter >= options.Queue.ExpireAfter)
        {
            warnings.Add("queue.delay_notice_after is not below queue.expire_after: no delay notice will ever be sent");
        }
    }

    /// <summary>Users and aliases are judged by the directory that will serve them.</summary>
    private void CheckDirectory()
    {
        var errors = new List<string>();
        _ = SmtpHosting.CreateDirectory(options, errors);
        foreach (var error in errors)
        {
            var colon = error.IndexOf(": ", StringComparison.Ordinal);
            var (subject, fault) = (error[..colon], error[(colon + 2)..]);
            var key = subject.StartsWith("alias ", StringComparison.Ordinal)
                ? $"aliases.{subject["alias ".Length..]}"
                : UserKey(subject["user ".Length..]);
            Report(key, null, fault, key.StartsWith("aliases", StringComparison.Ordinal)
                ? "Let aliases end at users, at addresses of users, or at addresses elsewhere."
                : "Correct the user's entry.");
        }

        var names = new HashSet<string>(StringComparer.OrdinalIgnoreCase);
        foreach (var user in options.Users.Where(user => !names.Add(user.Name)))
        {
            Report(UserKey(user.Name), user.Name, "appears twice", "Give each user a name of its own.");
        }
    }

    private string UserKey(string name)
    {
        for (var i = 0; i < options.Users.Count; i++)
        {
            if (string.Equals(options.Users[i].Name, name, StringComparison.Ordinal))
            {
                return $"{Numbered("users", i)}.name";
            }
        }

        return "users";
    }

    private void CheckCluster() => new ClusterValidator(options.Cluster, Report, warnings).Validate();

    private void CheckDomains(string key, IReadOnlyList<string> domains)
    {
        foreach (var domain in domains)
        {
            CheckDomain(key, domain, allowLiteral: false);
        }
    }

    private void CheckDomain(string key, string domain, bool allowLiteral)
    {
        var name = allowLiteral && domain.StartsWith('[') && domain.EndsWith(']') ? "literal" : domain;
        var good = name.Length is > 0 and <= 255
            && name.Split('.').All(label => label.Length is > 0 and <= 63)
            && name.All(c => char.IsLetterOrDigit(c) || c is '-' or '.' or '_');
        if (!good)
        {
            Report(key, domain, "is no domain", "Write a name such as \"mail.example.org\".");
        }
    }

    private static string Numbered(string table, int index) => string.Create(CultureInfo.InvariantCulture, $"{table}[{index + 1}]");

    private void Report(string key, string? value, string fault, string remedy)
    {
        var source = sources.GetValueOrDefault(key, "default");
        if (source is "default")
        {
            // A key that is missing is missing from what stands beside it.
            var table = key.Split('.')[0];
            source = sources.GetValueOrDefault(table)
                ?? sources.FirstOrDefault(pair => pair.Value is not "default" && pair.Key.StartsWith($"{table}.", StringComparison.Ordinal)).Value
                ?? source;
        }

        _problems.Add(new ConfigProblem(source, key, value is null ? null : $"\"{value}\"", fault, remedy));
    }
}
