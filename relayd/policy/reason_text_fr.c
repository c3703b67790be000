/* SPDX-License-Identifier: ISC */
/* Textes français ; voir reason_text.h. */
#include "policy/reason_text_private.h"

/* clang-format off */
#define ATTENDRE "Attendez : le message repart de lui-même."

const struct reason_text french_reasons[REASON_COUNT] = {
	[REASON_NONE] = {
		"Le message a été relayé ; il n'y a rien à expliquer.",
		"Il n'y a rien à faire.",
		"Il n'y a rien à faire." },
	[REASON_AUTH_REQUIRED] = {
		"Le client ne s'est pas identifié, et toutes les autorisations de ce connecteur exigent un compte ou un certificat.",
		"Faites identifier l'application avec un compte nommé dans une autorisation, ou écrivez une autorisation qui nomme son réseau.",
		"Donnez à l'application un nom d'utilisateur et un mot de passe pour ce relais, et activez TLS." },
	[REASON_RELAY_NO_GRANT] = {
		"Aucune autorisation ne connaît ce client : ni son adresse, ni son compte, ni son certificat n'ont le droit de relayer par ce connecteur.",
		"Si l'application a le droit d'envoyer, écrivez une autorisation avec son adresse dans networks ou son compte dans users ; sinon, qu'elle utilise un autre serveur.",
		"Demandez une autorisation au responsable de ce relais en citant l'identifiant entre crochets." },
	[REASON_RELAY_NETWORK] = {
		"Le compte ou le certificat est le bon, mais il vient d'un réseau que son autorisation ne nomme pas ; un nouveau site, un VPN ou une adresse NAT en est la cause habituelle.",
		"Ajoutez l'adresse du client à networks de l'autorisation, ou laissez l'application envoyer d'où elle en a le droit.",
		"Envoyez depuis le réseau habituel, ou demandez l'ajout de la nouvelle adresse en citant l'identifiant entre crochets." },
	[REASON_RELAY_EXPIRED] = {
		"L'autorisation qui s'appliquerait a expiré, ou n'est pas encore valable.",
		"Demandez à son propriétaire si elle est encore utile, et donnez-lui une nouvelle date dans expires ou starts.",
		"Demandez au propriétaire de l'application de faire renouveler son autorisation." },
	[REASON_TLS_HANDSHAKE] = {
		"Le client et relayd n'ont pu s'entendre sur TLS, ou le client a rompu ; la connexion se termine alors sans un mot.",
		"Le détail de l'enregistrement dit ce qui n'allait pas. Un vieil appareil peut avoir besoin d'un connecteur dont la section tls a profile = \"legacy\" ; un client qui ne fait pas confiance au certificat a besoin de son autorité ; un client qui parle en clair doit utiliser un autre port.",
		"Mettez l'application à jour et faites-lui accepter le certificat de ce relais ; si elle ne connaît pas TLS, utilisez le port sans TLS." },
	[REASON_CONNECTION_PROXY_HEADER] = {
		"La machine est nommée dans proxy-protocol d'un connecteur et n'a pas commencé à temps par un en-tête PROXY complet.",
		"Faites envoyer l'en-tête PROXY par le mandataire (HAProxy : send-proxy-v2), ou ôtez son adresse de proxy-protocol s'il n'y en a pas.",
		"Signalez au responsable du répartiteur de charge qu'il n'envoie pas d'en-tête PROXY à ce relais." },
	[REASON_CONNECTION_GO_BETWEEN] = {
		"Un mandataire ou une machine XCLIENT dit qui est le client, et le connecteur dont les plages contiennent ce client ne croit pas cette machine, ou l'adresse du client est inconnue.",
		"Nommez aussi cette machine dans proxy-protocol ou xclient de ce connecteur, si ses clients peuvent venir par là.",
		"Signalez au responsable de ce relais qu'il ne connaît pas le mandataire par lequel vous venez." },
	[REASON_QUOTA_SESSIONS] = {
		"Autant de sessions que l'autorisation en permet à la fois envoient déjà en son nom.",
		"Faites ouvrir moins de connexions à l'application, ou relevez limits de l'autorisation.",
		"Faites ouvrir moins de connexions à la fois à l'application, puis renvoyez." },
	[REASON_QUOTA_TROUBLE] = {
		"L'usage de l'autorisation n'a pu être compté : Redis est absent et shared dit when-away = \"closed\", ou il n'y a plus de place pour un compteur.",
		"Vérifiez que Redis fonctionne et qu'il est joignable, ou écrivez when-away = \"open\" ; `relayctl limits` montre ce qui est compté.",
		ATTENDRE },
	[REASON_SESSION_RATE] = {
		"L'adresse du client a envoyé autant de messages en une minute que message-rate-limit du connecteur le permet.",
		"Faites étaler les envois de l'application, ou relevez message-rate-limit du connecteur.",
		"Attendez une minute et renvoyez, ou étalez les messages sur plus de temps." },
	[REASON_TLS_REQUIRED] = {
		"Le connecteur ou l'autorisation n'accepte le courrier qu'en TLS, et le client a envoyé en clair.",
		"Activez STARTTLS dans l'application, ou retirez require-tls de l'autorisation.",
		"Choisissez STARTTLS (ou « TLS ») dans les réglages de messagerie de l'application." },
	[REASON_SENDER_NOT_AUTHORIZED] = {
		"Le client a le droit de relayer, mais pas avec cet expéditeur d'enveloppe (MAIL FROM).",
		"Faites envoyer l'application avec une adresse de son autorisation, ou ajoutez l'adresse ou son domaine à senders de l'autorisation.",
		"Utilisez une adresse d'expéditeur qui vous a été accordée, ou demandez l'ajout de celle-ci." },
	[REASON_SENDER_HEADER_FROM] = {
		"L'auteur nommé dans le message (champs From, Sender ou Resent-From) n'est pas permis par l'autorisation, manque, est écrit deux fois ou ne peut être lu.",
		"Corrigez le champ From que l'application écrit, ou assouplissez header-from de l'autorisation.",
		"Écrivez dans le message une seule adresse From, celle qui vous a été accordée." },
	[REASON_RELAY_RECIPIENT] = {
		"Le client a le droit de relayer, mais pas vers ce destinataire.",
		"Ajoutez le destinataire ou son domaine à recipients de l'autorisation, si l'application doit lui écrire.",
		"Vérifiez l'adresse du destinataire ; si elle est juste, demandez qu'elle soit permise." },
	[REASON_EVIDENCE_SPF] = {
		"L'autorisation exige SPF, et l'enregistrement SPF du domaine de l'expéditeur ne cite pas l'adresse d'où vient le courrier.",
		"Ajoutez l'adresse à l'enregistrement SPF du domaine, ou envoyez depuis un serveur qu'il cite.",
		"Envoyez par le serveur que votre domaine cite dans SPF, ou demandez à son administrateur d'ajouter celui-ci." },
	[REASON_EVIDENCE_DKIM] = {
		"L'autorisation exige une signature DKIM, et le message n'en a aucune qui soit valable.",
		"Signez dans l'application avec une clé publiée, et ne laissez rien modifier le message en chemin.",
		"Faites signer vos envois avec DKIM par votre logiciel ou votre serveur." },
	[REASON_EVIDENCE_DMARC] = {
		"L'autorisation exige DMARC, et ni SPF ni DKIM ne réussit pour le domaine du champ From.",
		"Envoyez avec un expéditeur d'enveloppe du domaine de From, ou signez avec une clé de ce domaine.",
		"Utilisez le même domaine pour l'adresse de retour et l'adresse From." },
	[REASON_EVIDENCE_DNSBL] = {
		"L'adresse du client figure sur une liste de blocage que le connecteur consulte.",
		"Trouvez et corrigez ce qui l'y a mise, demandez à la liste de la retirer, ou ôtez la liste de dnsbl du connecteur.",
		"Demandez à votre fournisseur ou à votre administrateur pourquoi l'adresse y figure." },
	[REASON_EVIDENCE_PTR] = {
		"L'adresse du client n'a dans le DNS aucun nom qui renvoie à elle.",
		"Faites publier par le propriétaire de l'adresse un enregistrement PTR, et une adresse pour ce nom.",
		"Demandez à votre fournisseur un nom inverse pour votre adresse." },
	[REASON_EVIDENCE_UNKNOWN] = {
		"Ce que l'autorisation exige (SPF, DKIM, DMARC, liste de blocage ou nom inverse) n'a pas pu être vérifié pour l'instant.",
		"Attendez : le client réessaie. Si cela dure, examinez les serveurs de noms de relayd.",
		ATTENDRE },
	[REASON_QUOTA_MESSAGES] = {
		"La limite de messages de l'autorisation est atteinte pour cette période.",
		"Attendez et renvoyez, étalez l'envoi, ou relevez limits de l'autorisation.",
		"Attendez et renvoyez, ou étalez vos messages dans le temps." },
	[REASON_QUOTA_RECIPIENTS] = {
		"La limite de destinataires de l'autorisation est atteinte pour cette période.",
		"Attendez et renvoyez, étalez l'envoi, ou relevez limits de l'autorisation.",
		"Attendez et renvoyez, ou écrivez à moins de personnes à la fois." },
	[REASON_QUOTA_OCTETS] = {
		"La limite d'octets de l'autorisation est atteinte pour cette période.",
		"Attendez et renvoyez, envoyez des messages plus petits, ou relevez limits de l'autorisation.",
		"Attendez et renvoyez, ou envoyez des messages plus petits." },
	[REASON_AUTH_FAILED] = {
		"Le nom d'utilisateur ou le mot de passe est faux, ou le compte est désactivé.",
		"Vérifiez la forme du nom (compte ou compte@domaine) et le mot de passe ; `relayctl user` en donne un nouveau.",
		"Vérifiez le nom et le mot de passe dans les réglages de messagerie de l'application." },
	[REASON_AUTH_MECHANISM] = {
		"Le client a demandé une façon de s'identifier que ce connecteur n'offre pas.",
		"Choisissez-en une que EHLO cite, ou ajoutez-la à auth-mechanisms du connecteur.",
		"Choisissez une autre méthode d'identification (PLAIN ou LOGIN avec TLS) dans l'application." },
	[REASON_AUTH_TLS_REQUIRED] = {
		"Le client a voulu s'identifier avec un mot de passe en clair, sans TLS.",
		"Activez STARTTLS dans l'application ; si elle ne peut pas, un mécanisme SCRAM ou auth-without-tls du connecteur la laisse entrer.",
		"Choisissez STARTTLS avant l'identification dans les réglages de l'application." },
	[REASON_AUTH_BANNED] = {
		"Trop d'identifications ont échoué depuis cette adresse : elle est exclue pour un temps.",
		"Corrigez le mot de passe dans l'application et attendez, ou mettez l'adresse dans exempt de auth-ban.",
		"Corrigez le mot de passe dans l'application, puis attendez une heure." },
	[REASON_AUTH_TROUBLE] = {
		"Le service des mots de passe (saslauthd, LDAP, base de données) n'a pas pu être interrogé.",
		"Examinez ce service ; le client n'est pas en cause.",
		"Attendez et réessayez ; votre mot de passe n'est pas en cause." },
	[REASON_CONNECTION_NO_CONNECTOR] = {
		"Aucun connecteur à l'écoute à cet endroit n'a de plage qui contient l'adresse du client.",
		"Ajoutez l'adresse à remote-ip-ranges d'un connecteur, si le client a le droit de se connecter.",
		"Demandez si votre adresse a le droit d'utiliser ce relais." },
	[REASON_CONNECTION_LIMIT] = {
		"Le connecteur a autant de connexions qu'il peut en avoir.",
		"Cherchez qui les occupe, ou relevez max-connections du connecteur.",
		"Attendez et réessayez ; le relais est très occupé." },
	[REASON_CONNECTION_SOURCE_LIMIT] = {
		"Cette adresse a autant de connexions qu'un client peut en avoir.",
		"Que l'application en utilise moins à la fois, ou relevez max-connections-per-source du connecteur.",
		"Ouvrez moins de connexions à la fois, et fermez celles qui ne servent plus." },
	[REASON_SESSION_ERRORS] = {
		"Le client a fait trop d'erreurs de protocole ou d'identification dans une session.",
		"Regardez les refus qui précèdent celui-ci ; corrigez le premier.",
		"Cherchez le premier refus dans le journal de l'application, et corrigez-le." },
	[REASON_SESSION_TIMEOUT] = {
		"Le client est resté muet trop longtemps, ou la session a trop duré.",
		"Cherchez une application ou un réseau bloqué ; inactivity-timeout et connection-timeout du connecteur fixent les durées.",
		"Regardez si l'application ou le réseau était bloqué, puis renvoyez." },
	[REASON_SESSION_ABANDONED] = {
		"L'envoi était permis, mais le client est parti avant la fin du message.",
		"Regardez le journal du client ; un pare-feu ou une application impatiente en sont les causes habituelles.",
		"Renvoyez le message ; la connexion a été coupée avant sa fin." },
	[REASON_SESSION_EARLY_TALKER] = {
		"Le client a envoyé des commandes avant le salut, comme le font les programmes de spam.",
		"Corrigez le client : il doit attendre la ligne qui commence par 220.",
		"Mettez l'application à jour, ou signalez ceci à son éditeur." },
	[REASON_SESSION_SHUTDOWN] = {
		"relayd était en cours d'arrêt ou de redémarrage.",
		"Rien : le client se reconnecte.",
		ATTENDRE },
	[REASON_MESSAGE_SIZE] = {
		"Le message est plus grand que le connecteur ne le permet.",
		"Envoyez moins dans un message, ou relevez max-message-size du connecteur.",
		"Envoyez des pièces jointes plus petites, ou un lien vers elles." },
	[REASON_MESSAGE_RECIPIENTS] = {
		"Le message a plus de destinataires que le connecteur n'en permet ; les premiers ont été pris.",
		"Un bon client envoie aux autres dans un second message ; sinon, relevez max-recipients-per-message du connecteur.",
		"Envoyez aux destinataires restants dans un autre message." },
	[REASON_MESSAGE_BARE_CRLF] = {
		"Le message a un CR ou un LF qui n'appartient pas à un CRLF, par quoi un second message pourrait être introduit.",
		"Faites terminer les lignes par CRLF dans l'application.",
		"Mettez l'application à jour, ou signalez à son éditeur que ses lignes doivent finir par CRLF." },
	[REASON_MESSAGE_NUL] = {
		"Le message contient un octet nul, ce qu'aucun courrier ne peut.",
		"Faites encoder le contenu binaire (base64) par l'application.",
		"Envoyez le contenu binaire en pièce jointe." },
	[REASON_MESSAGE_LOOP] = {
		"Le message a traversé trop de serveurs ; deux d'entre eux se le renvoient sans doute.",
		"Regardez ses champs Received et corrigez la route qui revient en arrière.",
		"Supprimez la règle de transfert qui fait tourner le message en rond." },
	[REASON_MESSAGE_HEADER] = {
		"L'en-tête du message est plus grand que ce que relayd lit.",
		"Faites écrire moins de champs, ou de plus courts, par l'application.",
		"Mettez moins de destinataires dans To et Cc, qui allongent l'en-tête." },
	[REASON_MESSAGE_LINE] = {
		"Une ligne du message est plus longue que le courrier ne le permet.",
		"Faites couper les lignes ou encoder le contenu par l'application.",
		"Coupez les longues lignes, ou envoyez le texte en pièce jointe." },
	[REASON_NEXT_HOP_REFUSED] = {
		"relayd aurait relayé le message, mais le serveur suivant, à qui il l'a transmis "
		"aussitôt (cut-through), l'a refusé ; la réponse est la sienne.",
		"Cherchez cette réponse chez le serveur suivant de la route : ses règles ou "
		"l'adresse du destinataire sont en cause.",
		"Vérifiez l'adresse du destinataire, sinon montrez la réponse à votre administrateur." },
	[REASON_STORAGE_FULL] = {
		"Le disque de la file d'attente est plein.",
		"Libérez de la place dans state-dir ; les clients réessaient d'eux-mêmes.",
		ATTENDRE },
	[REASON_STORAGE_TROUBLE] = {
		"La file d'attente n'a pas pu garder le message durablement : il n'a donc pas été accepté.",
		"Cherchez l'étape en échec dans le journal de relayd, et examinez le disque.",
		ATTENDRE },
	[REASON_AUDIT_TROUBLE] = {
		"L'enregistrement d'audit n'a pas pu être écrit, et rien n'est décidé sans lui.",
		"Cherchez l'étape en échec dans le journal de relayd, et examinez le disque.",
		ATTENDRE },
	[REASON_POLICY_TROUBLE] = {
		"Ce dont la décision a besoin n'a pas pu être consulté pour l'instant.",
		"Consultez le journal de relayd ; les clients réessaient d'eux-mêmes.",
		ATTENDRE },
};

#define DITES_LE "Prévenez votre administrateur."

static const struct code_text codes[] = {
	{ "5.0.0", { "La transaction a échoué pour une raison qui n'a pas de code propre.",
		"Consultez le journal de relayd à cette heure.",
		"Renvoyez ; si cela dure, signalez la réponse exacte." } },
	{ "5.5.1", { "Une commande est venue au mauvais moment, ou n'est pas connue ici : pas de salut avant MAIL, pas de destinataire avant DATA, STARTTLS ou AUTH deux fois.",
		"Enregistrez la session (tcpdump, ou le journal de l'application) et comparez-la à docs/smtp.md.",
		"Mettez l'application à jour, ou signalez à son éditeur ce qu'elle a envoyé." } },
	{ "5.5.2", { "Une ligne de commande est trop longue, contient des octets interdits, ou une réponse d'identification n'est pas en base64.",
		"Regardez si autre chose qu'un client de messagerie (un scanner, un navigateur) parle à ce port.",
		"Vérifiez que l'application parle SMTP à ce port, et son réglage TLS." } },
	{ "5.5.4", { "L'argument d'une commande est faux : un mauvais nom EHLO, un paramètre inconnu ou écrit deux fois.",
		"Comparez la commande aux paramètres que EHLO offre.",
		"Donnez un vrai nom d'hôte à l'application, et désactivez les extensions que le relais n'offre pas." } },
	{ "5.5.6", { "Une ligne de l'identification est plus longue qu'il n'en est besoin.",
		"Regardez si le client envoie un jeton à un mécanisme pour mots de passe.",
		"Choisissez une autre méthode d'identification." } },
	{ "5.1.1", { "La boîte n'existe pas chez le serveur du destinataire.",
		"Cherchez une faute de frappe, ou une adresse qui a changé.",
		"Vérifiez l'adresse, et demandez la bonne au destinataire." } },
	{ "5.1.3", { "L'adresse du destinataire n'est pas écrite comme une adresse.",
		"Regardez comment l'application compose les adresses : espaces, « @ » absent, point final.",
		"Corrigez l'adresse." } },
	{ "5.1.7", { "L'adresse de l'expéditeur n'est pas écrite comme une adresse.",
		"Regardez l'expéditeur réglé dans l'application.",
		"Corrigez l'expéditeur dans les réglages de messagerie de l'application." } },
	{ "5.1.8", { "Exchange Online a bloqué l'expéditeur pour envoi de spam.",
		"Changez le mot de passe du compte, cherchez des règles ajoutées par un tiers, puis levez le blocage.",
		"Prévenez votre administrateur que le compte est peut-être détourné." } },
	{ "5.1.10", { "Le domaine du destinataire ne prend pas de courrier (MX nul), ou Exchange ne connaît pas le destinataire.",
		"Vérifiez l'enregistrement MX du domaine et le destinataire.",
		"Vérifiez l'adresse ; ce domaine n'a pas de boîtes." } },
	{ "5.1.90", { "La boîte qui relaie vers Exchange Online a épuisé ses destinataires du jour.",
		"Étalez les envois, ou utilisez un connecteur entrant, qui n'a pas cette limite.",
		"Attendez demain, ou écrivez à moins de personnes." } },
	{ "5.2.252", { "Le compte qui relaie vers Exchange Online n'a pas le droit d'envoyer sous cet expéditeur (SendAsDenied).",
		"Donnez-lui « Envoyer en tant que » pour l'adresse, ou réécrivez l'expéditeur dans l'autorisation.",
		"Utilisez l'adresse du compte qui envoie." } },
	{ "5.4.1", { "Exchange Online refuse l'adresse du destinataire : elle y est inconnue, ou le domaine n'est pas le sien.",
		"Vérifiez le destinataire, et la route qui y mène.",
		"Vérifiez l'adresse." } },
	{ "5.6.3", { "Le message contient des caractères accentués sans les avoir annoncés (BODY=8BITMIME).",
		"Faites annoncer 8BITMIME par l'application, ou encoder son texte.",
		"Mettez l'application à jour." } },
	{ "5.6.7", { "L'adresse contient des caractères accentués, et SMTPUTF8 n'a pas été demandé.",
		"Faites demander SMTPUTF8 par l'application, ou utilisez une adresse sans accents.",
		"Utilisez une adresse sans caractères accentués." } },
	{ "5.7.9", { "La méthode d'identification est trop faible pour ce compte.",
		"Offrez un mécanisme plus fort, ou TLS.",
		"Choisissez une autre méthode d'identification." } },
	{ "5.7.10", { "Le message exige TLS sur tout son chemin (REQUIRETLS), et cette session est en clair.",
		"Activez STARTTLS sur le connecteur.",
		"Activez TLS, ou ne demandez pas REQUIRETLS." } },
	{ "5.7.13", { "Le compte est désactivé.",
		"Voyez relayctl user list, et réactivez-le.",
		"Demandez la réactivation du compte." } },
	{ "5.7.30", { "Exchange Online n'accepte plus les mots de passe pour l'envoi par les clients.",
		"Faites identifier la route par XOAUTH2.",
		DITES_LE } },
	{ "5.7.64", { "Exchange Online ne connaît pas ce relais : aucun connecteur entrant ne correspond à son adresse ou à son certificat, ou le domaine de l'expéditeur n'est pas enregistré.",
		"Vérifiez l'adresse ou le nom de certificat du connecteur entrant, et que le domaine est accepté par l'organisation.",
		"Citez cette réponse à votre administrateur." } },
	{ "5.7.68", { "L'organisation refuse l'envoi direct depuis des sources qu'elle ne connaît pas.",
		"Relayez par un connecteur entrant ou avec un compte.",
		"Citez cette réponse à votre administrateur." } },
	{ "5.7.124", { "Le destinataire, souvent un groupe, n'accepte que des expéditeurs inscrits ; 5.7.133 à 5.7.136 disent de même des expéditeurs extérieurs.",
		"Faites ajouter l'expéditeur à ceux que le groupe accepte.",
		"Demandez au propriétaire du groupe de permettre votre adresse." } },
	{ "5.7.139", { "Exchange Online a refusé l'identification : l'envoi par mot de passe est désactivé pour l'organisation ou la boîte, ou l'accès conditionnel l'interdit.",
		"Utilisez XOAUTH2, ou activez SMTP AUTH pour cette boîte.",
		DITES_LE } },
	{ "5.7.509", { "Le serveur suivant refuse parce que la règle DMARC du domaine de From le demande.",
		"Signez avec une clé DKIM du domaine de From, ou envoyez avec une adresse de retour de ce domaine.",
		"Envoyez depuis une adresse de votre propre domaine." } },
	{ "5.7.515", { "Outlook.com exige SPF, DKIM et DMARC de qui envoie beaucoup, et l'un d'eux manque.",
		"Publiez SPF et DMARC, et signez avec DKIM, pour le domaine de From.",
		DITES_LE } },
	{ "5.7.606", { "Exchange Online a banni l'adresse publique du relais (5.7.606 à 5.7.649).",
		"Trouvez ce qui a envoyé du spam, arrêtez-le, puis demandez le retrait de la liste.",
		DITES_LE } },
	{ "5.7.708", { "Exchange Online ne prend pas de courrier de cette adresse ; 5.7.750 le dit des domaines non enregistrés.",
		"Vérifiez l'état de l'organisation et ses domaines, puis demandez à son assistance.",
		DITES_LE } },
	{ "5.7.350", { "Le serveur suivant a pris le message pour du spam.",
		"Regardez son contenu, et la réputation du domaine et de l'adresse.",
		"Retirez le lien, la pièce jointe ou la phrase qui peut en être la cause." } },
	{ "5.7.900", { "Une règle de transport de l'organisation du destinataire a refusé le message (5.7.900 à 5.7.999).",
		"Demandez à cette organisation de quelle règle il s'agit.",
		"Demandez à l'administrateur du destinataire, en citant la réponse entière." } },
	{ "4.7.500", { "Exchange Online ralentit cet expéditeur.",
		"Attendez ; la file réessaie. Si cela dure, baissez messages-per-minute de la route.",
		ATTENDRE } },
	{ "4.7.650", { "L'adresse ou le domaine a mauvaise réputation chez le serveur suivant, qui n'en prend que peu pour l'instant.",
		"Augmentez le volume lentement, et arrêtez ce qui ressemble à du spam.",
		ATTENDRE } },
};

static const struct cause_text causes[] = {
	{ "Relais non permis", { "Le serveur ne transmet que pour des clients connus et vers ses propres domaines.",
		"Ici : écrivez une autorisation. Ailleurs : faites-y inscrire ce relais, ou faites identifier sa route.",
		"Demandez une autorisation, ou utilisez votre propre serveur de messagerie." } },
	{ "Autre réseau", { "Le client se connecte depuis une adresse non inscrite : nouveau site, VPN ou adresse NAT.",
		"Comparez client.ip de relayctl why à networks de l'autorisation.",
		"Envoyez depuis le réseau habituel, ou identifiez-vous." } },
	{ "Mauvaise identification", { "Aucun compte, un mot de passe faux, ou un expéditeur qui n'appartient pas au compte.",
		"Voyez les enregistrements auth de cette heure ; relayctl rights --user montre les droits d'un compte.",
		"Vérifiez le nom, le mot de passe, TLS et l'adresse From." } },
	{ "SPF", { "L'enregistrement SPF du domaine de l'expéditeur ne cite pas le serveur qui a envoyé.",
		"Ajoutez ce serveur à l'enregistrement ; le simple transfert casse SPF, signez donc aussi avec DKIM.",
		"Envoyez par le serveur de votre domaine." } },
	{ "DKIM", { "Il n'y a pas de signature valable, ou le message a été modifié après sa signature.",
		"Activez la signature, publiez la clé, et ne laissez aucun serveur suivant modifier le message.",
		"Faites signer votre courrier." } },
	{ "DMARC", { "Ni SPF ni DKIM ne réussit pour le domaine de From, et sa règle demande le refus.",
		"Que l'adresse de retour ou la signature soit du domaine de From.",
		"N'envoyez pas au nom d'un autre domaine." } },
	{ "Liste de blocage", { "L'adresse d'envoi, ou un domaine cité dans le message, figure sur une liste de blocage.",
		"Corrigez la cause, puis demandez le retrait à la liste que la réponse nomme.",
		"Dites à votre administrateur quelle liste la réponse nomme." } },
	{ "Nom inverse absent", { "L'adresse d'envoi n'a pas d'enregistrement PTR qui renvoie à elle.",
		"Faites-en publier un par le propriétaire de l'adresse.",
		"Prévenez votre fournisseur." } },
	{ "Débit", { "Trop de courrier est parti en trop peu de temps.",
		"Étalez l'envoi, ou relevez limits de l'autorisation ou messages-per-minute de la route.",
		"Attendez, puis envoyez moins à la fois." } },
	{ "Contenu", { "Le message ressemble à du spam, ou contient une pièce jointe ou un lien interdit.",
		"Regardez ce que l'application envoie ; citez la réponse à l'administrateur du destinataire.",
		"Retirez la pièce jointe ou le lien, et renvoyez." } },
	{ "Règle du destinataire", { "Le destinataire n'existe pas, ou n'accepte que des expéditeurs inscrits.",
		"Vérifiez l'adresse, et recipients de l'autorisation.",
		"Vérifiez l'adresse, ou demandez à son propriétaire." } },
};
/* clang-format on */

const struct language_texts french_texts = {
	.codes = codes,
	.code_count = ARRAY_LEN(codes),
	.causes = causes,
	.cause_count = ARRAY_LEN(causes),
	.word_cause = "cause",
	.word_remedy = "remède",
	.word_sender = "expéditeur",
	.word_here = "ici",
	.word_causes = "Causes pour lesquelles les serveurs refusent avec ce code :",
};
