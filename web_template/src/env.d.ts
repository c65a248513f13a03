/** Of the app, from `app.json`. */
declare const __APP_NAME__: string;
declare const __APP_VERSION__: string;
declare const __SERVICE_WORKER__: boolean;
/** Of the compiler, such as `5.9`. */
declare const __TYPESCRIPT_VERSION__: string;
